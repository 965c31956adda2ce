// TUN devices, sockets in other network namespaces, and the descriptors of both.
//
// A TUN belongs to the namespace its descriptor was opened in, so the calling thread goes there and comes back. If the
// way back fails the process ends: going on would send a spacecraft's traffic out of the wrong namespace.
#include "omni.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// Linux 6.2; older headers do not name them.
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define VNET_HEADER_OCTETS 10

// A failed step: what to throw once the thread is home again. `syscall` NULL means nothing failed.
typedef struct {
  const char *syscall;
  int error;
} failure;

static failure failed(const char *syscall) { return (failure){.syscall = syscall, .error = errno}; }

// On success *home is the descriptor to return with, or -1 when path is empty and there is nowhere to go.
static failure enter_namespace(const char *path, int *home) {
  *home = -1;
  if (path[0] == '\0') return (failure){0};
  int target = open(path, O_RDONLY | O_CLOEXEC);
  if (target < 0) return failed("open");
  // thread-self: `self` is the main thread, and we may be in a Worker.
  int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  failure problem = {0};
  if (here < 0) problem = failed("open");
  else if (setns(target, CLONE_NEWNET) != 0) problem = failed("setns");
  close(target);
  if (problem.syscall != NULL) {
    if (here >= 0) close(here);
    return problem;
  }
  *home = here;
  return problem;
}

static void leave_namespace(int home) {
  if (home < 0) return;
  if (setns(home, CLONE_NEWNET) != 0)
    napi_fatal_error("omni native", NAPI_AUTO_LENGTH, "cannot return to the thread's own network namespace",
                     NAPI_AUTO_LENGTH);
  close(home);
}

typedef struct {
  char name[IFNAMSIZ];
  char netns[PATH_MAX];
  bool vnet_header;
  bool udp_segmentation; // in: wanted, out: granted
} tun_request;

static failure configure_tun(int fd, tun_request *request) {
  struct ifreq interface = {0};
  memcpy(interface.ifr_name, request->name, IFNAMSIZ);
  interface.ifr_flags = IFF_TUN | IFF_NO_PI | (request->vnet_header ? IFF_VNET_HDR : 0);
  if (ioctl(fd, TUNSETIFF, &interface) != 0) return failed("ioctl(TUNSETIFF)");
  memcpy(request->name, interface.ifr_name, IFNAMSIZ);
  if (!request->vnet_header) return (failure){0};

  int header_octets = VNET_HEADER_OCTETS;
  if (ioctl(fd, TUNSETVNETHDRSZ, &header_octets) != 0) return failed("ioctl(TUNSETVNETHDRSZ)");
  unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (request->udp_segmentation) {
    // The kernel refuses the whole set when it does not know one of them: ask, then do without.
    if (ioctl(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) == 0) return (failure){0};
    request->udp_segmentation = false;
  }
  if (ioctl(fd, TUNSETOFFLOAD, offloads) != 0) return failed("ioctl(TUNSETOFFLOAD)");
  return (failure){0};
}

static failure open_tun(tun_request *request, int *fd) {
  int home;
  failure problem = enter_namespace(request->netns, &home);
  if (problem.syscall != NULL) return problem;
  *fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  problem = *fd < 0 ? failed("open(/dev/net/tun)") : configure_tun(*fd, request);
  leave_namespace(home);
  if (problem.syscall != NULL && *fd >= 0) close(*fd);
  return problem;
}

static napi_value js_open_tun(napi_env env, napi_callback_info info) {
  napi_value options;
  tun_request request = {0};
  bool named = false;
  if (!take_arguments(env, info, "openTun", 1, &options, NULL)) return NULL;
  if (!take_object(env, options, "options") ||
      !take_string_property(env, options, "name", request.name, sizeof request.name, &named) ||
      !take_string_property(env, options, "netns", request.netns, sizeof request.netns, NULL) ||
      !take_boolean_property(env, options, "vnetHeader", &request.vnet_header) ||
      !take_boolean_property(env, options, "udpSegmentation", &request.udp_segmentation))
    return NULL;
  if (!named || request.name[0] == '\0') return throw_type(env, "name must be a non-empty string");
  if (request.udp_segmentation && !request.vnet_header) return throw_range(env, "udpSegmentation needs vnetHeader");

  char asked[IFNAMSIZ];
  memcpy(asked, request.name, sizeof asked);
  int fd = -1;
  failure problem = open_tun(&request, &fd);
  if (problem.syscall == NULL && !own_fd(get_instance(env), fd)) {
    close(fd);
    problem = (failure){.syscall = "malloc", .error = ENOMEM};
  }
  if (problem.syscall != NULL)
    return throw_errno(env, problem.error, problem.syscall, "opening TUN %s%s%s", asked, request.netns[0] ? " in " : "",
                       request.netns);

  napi_value result, field;
  if (napi_create_object(env, &result) != napi_ok) return NULL;
  napi_create_int32(env, fd, &field);
  napi_set_named_property(env, result, "fd", field);
  napi_create_string_utf8(env, request.name, NAPI_AUTO_LENGTH, &field);
  napi_set_named_property(env, result, "name", field);
  napi_get_boolean(env, request.udp_segmentation, &field);
  napi_set_named_property(env, result, "udpSegmentation", field);
  return result;
}

static napi_value js_open_socket(napi_env env, napi_callback_info info) {
  napi_value options, result;
  char netns[PATH_MAX] = "", interface[IFNAMSIZ] = "";
  int64_t domain = -1, type = -1, protocol = 0;
  if (!take_arguments(env, info, "openSocketInNamespace", 1, &options, NULL)) return NULL;
  if (!take_object(env, options, "options") ||
      !take_string_property(env, options, "netns", netns, sizeof netns, NULL) ||
      !take_string_property(env, options, "interface", interface, sizeof interface, NULL) ||
      !take_integer_property(env, options, "domain", 0, 255, &domain) ||
      !take_integer_property(env, options, "type", 0, 15, &type) ||
      !take_integer_property(env, options, "protocol", 0, 65535, &protocol))
    return NULL;
  if (domain < 0 || type < 0) return throw_type(env, "domain and type must be numbers");

  int home, fd = -1;
  failure problem = enter_namespace(netns, &home);
  if (problem.syscall == NULL) {
    fd = socket((int)domain, (int)type | SOCK_NONBLOCK | SOCK_CLOEXEC, (int)protocol);
    if (fd < 0) problem = failed("socket");
    else if (interface[0] && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) != 0) {
      problem = failed("setsockopt(SO_BINDTODEVICE)");
      close(fd);
    }
    leave_namespace(home);
  }
  if (problem.syscall == NULL && !own_fd(get_instance(env), fd)) {
    close(fd);
    problem = (failure){.syscall = "malloc", .error = ENOMEM};
  }
  if (problem.syscall != NULL)
    return throw_errno(env, problem.error, problem.syscall, "opening a socket (domain %d, type %d, protocol %d)%s%s",
                       (int)domain, (int)type, (int)protocol, netns[0] ? " in " : "", netns);
  return napi_create_int32(env, fd, &result) == napi_ok ? result : NULL;
}

static napi_value js_connect_socket(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int64_t fd, address;
  if (!take_arguments(env, info, "connectSocket", 2, values, NULL)) return NULL;
  if (!take_integer(env, values[0], "fd", 0, INT_MAX, &fd) ||
      !take_integer(env, values[1], "address", 0, UINT32_MAX, &address))
    return NULL;
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl((uint32_t)address)};
  if (connect((int)fd, (struct sockaddr *)&peer, sizeof peer) != 0)
    return throw_errno(env, errno, "connect", "connecting descriptor %d to address 0x%08x", (int)fd, (uint32_t)address);
  return NULL;
}

static napi_value js_bind_packet_socket(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int64_t fd, interface, protocol;
  if (!take_arguments(env, info, "bindPacketSocket", 3, values, NULL)) return NULL;
  if (!take_integer(env, values[0], "fd", 0, INT_MAX, &fd) ||
      !take_integer(env, values[1], "interfaceIndex", 1, INT_MAX, &interface) ||
      !take_integer(env, values[2], "protocol", 0, 65535, &protocol))
    return NULL;
  struct sockaddr_ll own = {
      .sll_family = AF_PACKET, .sll_protocol = htons((uint16_t)protocol), .sll_ifindex = (int)interface};
  if (bind((int)fd, (struct sockaddr *)&own, sizeof own) != 0)
    return throw_errno(env, errno, "bind", "binding descriptor %d to interface %d", (int)fd, (int)interface);
  return NULL;
}

static napi_value js_close_fd(napi_env env, napi_callback_info info) {
  napi_value value;
  int64_t fd;
  if (!take_arguments(env, info, "closeFd", 1, &value, NULL)) return NULL;
  if (!take_integer(env, value, "fd", 0, INT_MAX, &fd)) return NULL;
  instance *self = get_instance(env);
  // A closed number is soon another file's: a reactor that still had it would write packets into that file.
  if (reactors_hold_fd(self, (int)fd))
    return throw_errno(env, EBUSY, "close", "closing descriptor %d, still in a reactor (removeTun first)", (int)fd);
  if (!disown_fd(self, (int)fd))
    return throw_errno(env, EBADF, "close", "closing descriptor %d, not opened here or already closed", (int)fd);
  close((int)fd);
  return NULL;
}

static napi_value js_enter_namespace(napi_env env, napi_callback_info info) {
  napi_value value;
  char path[PATH_MAX];
  int home;
  if (!take_arguments(env, info, "enterNetworkNamespace", 1, &value, NULL)) return NULL;
  if (!take_string(env, value, "path", path, sizeof path)) return NULL;
  if (path[0] == '\0') return throw_range(env, "path must not be empty");
  failure problem = enter_namespace(path, &home);
  if (problem.syscall != NULL)
    return throw_errno(env, problem.error, problem.syscall, "entering network namespace %s", path);
  close(home); // one way
  return NULL;
}

bool register_tun(napi_env env, napi_value exports) {
  return set_function(env, exports, "openTun", js_open_tun) && set_function(env, exports, "closeFd", js_close_fd) &&
         set_function(env, exports, "openSocketInNamespace", js_open_socket) &&
         set_function(env, exports, "connectSocket", js_connect_socket) &&
         set_function(env, exports, "bindPacketSocket", js_bind_packet_socket) &&
         set_function(env, exports, "enterNetworkNamespace", js_enter_namespace);
}
