// What Node does not ask or tell the kernel about a TCP socket of its own. The caller owns the descriptor.
#include "omni.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static napi_value js_unacknowledged_octets(napi_env env, napi_callback_info info) {
  napi_value value, result;
  int64_t fd;
  int octets = 0;
  if (!take_arguments(env, info, "unacknowledgedOctets", 1, &value, NULL)) return NULL;
  if (!take_integer(env, value, "fd", 0, INT_MAX, &fd)) return NULL;
  if (ioctl((int)fd, SIOCOUTQ, &octets) != 0)
    return throw_errno(env, errno, "ioctl(SIOCOUTQ)", "asking what descriptor %d has unacknowledged", (int)fd);
  return napi_create_int32(env, octets, &result) == napi_ok ? result : NULL;
}

static napi_value js_reset_on_close(napi_env env, napi_callback_info info) {
  napi_value value;
  int64_t fd;
  if (!take_arguments(env, info, "resetOnClose", 1, &value, NULL)) return NULL;
  if (!take_integer(env, value, "fd", 0, INT_MAX, &fd)) return NULL;
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  if (setsockopt((int)fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) != 0)
    return throw_errno(env, errno, "setsockopt(SO_LINGER)", "having descriptor %d reset when it is closed", (int)fd);
  return NULL;
}

static napi_value js_delay_acknowledgements(napi_env env, napi_callback_info info) {
  napi_value value;
  int64_t fd;
  int quick = 0;
  if (!take_arguments(env, info, "delayAcknowledgements", 1, &value, NULL)) return NULL;
  if (!take_integer(env, value, "fd", 0, INT_MAX, &fd)) return NULL;
  if (setsockopt((int)fd, IPPROTO_TCP, TCP_QUICKACK, &quick, sizeof quick) != 0)
    return throw_errno(env, errno, "setsockopt(TCP_QUICKACK)", "delaying acknowledgements of descriptor %d", (int)fd);
  return NULL;
}

bool register_tcp(napi_env env, napi_value exports) {
  return set_function(env, exports, "unacknowledgedOctets", js_unacknowledged_octets) &&
         set_function(env, exports, "resetOnClose", js_reset_on_close) &&
         set_function(env, exports, "delayAcknowledgements", js_delay_acknowledgements);
}
