// The reactor's inside, shared by reactor.c (life, registration, timer) and packets.c (reading and writing).
#ifndef OMNI_REACTOR_H
#define OMNI_REACTOR_H

#include "omni.h"

#include <uv.h>

#define MAX_INDEX 65535

typedef struct port port;
struct port {
  int fd;
  uint32_t index;
  uint32_t interest; // what epoll was told; 0: not in the set
  bool paused, blocked, failed, ready;
  port *previous, *next; // among the ready
};

struct reactor {
  napi_env env;
  uv_poll_t poll;
  napi_async_cleanup_hook_handle cleanup;
  napi_ref self, on_wake;
  int epoll, timer;
  uint8_t owners;
  bool open, expired;
  double deadline; // 0: disarmed
  port **ports;
  size_t port_capacity;
  port *first_ready, *last_ready;
  reactor *next_open;
};

port *find_port(const reactor *r, uint32_t index);
void push_ready(reactor *r, port *p);
void remove_ready(reactor *r, port *p);
// Tells epoll what the port's flags now ask for. Returns 0 or an errno.
int update_interest(reactor *r, port *p);
// No more events and reads from it; the index stays taken until removeTun.
void drop_port(reactor *r, port *p);

// Arguments and the open reactor behind `this`. (V8 itself refuses a `this` that no constructor of ours has made.)
reactor *take_reactor(napi_env env, napi_callback_info info, const char *method, size_t count, napi_value *values);

napi_value js_read_batch(napi_env env, napi_callback_info info);
napi_value js_write_batch(napi_env env, napi_callback_info info);

#endif
