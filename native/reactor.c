// One epoll set of packet descriptors and a timer, watched by one uv_poll on the environment's own loop.
//
// The set is level-triggered: what JS leaves unread wakes it again next turn, so nothing is lost and nothing needs to
// be remembered. A descriptor that nobody wants to hear of is taken out of the set altogether, because epoll reports
// errors even on an empty interest and would spin.
//
// The struct has two owners, the JS object and the uv handle, and goes when both have let go. While open, the JS object
// holds itself (as every open handle of Node does), so only a closed reactor can be collected.
#include "reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TIMER_TAG UINT32_MAX
#define EVENTS_PER_WAKE 64

static void release(reactor *r) {
  if (--r->owners == 0) free(r);
}

// --- ports ---

void push_ready(reactor *r, port *p) {
  if (p->ready) return;
  p->ready = true;
  p->next = NULL;
  p->previous = r->last_ready;
  *(r->last_ready == NULL ? &r->first_ready : &r->last_ready->next) = p;
  r->last_ready = p;
}

void remove_ready(reactor *r, port *p) {
  if (!p->ready) return;
  p->ready = false;
  *(p->previous == NULL ? &r->first_ready : &p->previous->next) = p->next;
  *(p->next == NULL ? &r->last_ready : &p->next->previous) = p->previous;
}

int update_interest(reactor *r, port *p) {
  uint32_t wanted = p->failed ? 0 : (p->paused ? 0 : EPOLLIN) | (p->blocked ? EPOLLOUT : 0);
  if (wanted == p->interest) return 0;
  int operation = p->interest == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  struct epoll_event event = {.events = wanted, .data.u32 = p->index};
  if (epoll_ctl(r->epoll, operation, p->fd, &event) != 0) return errno;
  p->interest = wanted;
  return 0;
}

port *find_port(const reactor *r, uint32_t index) {
  return index < r->port_capacity ? r->ports[index] : NULL;
}

void drop_port(reactor *r, port *p) {
  p->failed = true;
  update_interest(r, p);
  remove_ready(r, p);
}

bool reactors_hold_fd(const instance *self, int fd) {
  for (const reactor *r = self->reactors; r != NULL; r = r->next_open)
    for (size_t i = 0; i < r->port_capacity; i++)
      if (r->ports[i] != NULL && r->ports[i]->fd == fd) return true;
  return false;
}

// --- life ---

static void on_closed(uv_handle_t *handle) {
  reactor *r = handle->data;
  napi_remove_async_cleanup_hook(r->cleanup);
  release(r);
}

static void shut(reactor *r) {
  if (!r->open) return;
  r->open = false;
  uv_poll_stop(&r->poll);
  uv_close((uv_handle_t *)&r->poll, on_closed);
  close(r->epoll);
  close(r->timer);
  for (size_t i = 0; i < r->port_capacity; i++) free(r->ports[i]);
  free(r->ports);
  r->ports = NULL;
  r->port_capacity = 0;
  r->first_ready = r->last_ready = NULL;
  for (reactor **link = &get_instance(r->env)->reactors; *link != NULL; link = &(*link)->next_open) {
    if (*link != r) continue;
    *link = r->next_open;
    break;
  }
}

// An asynchronous hook, since a uv handle is gone only when its close callback has run; a Worker's loop would abort.
static void on_environment_end(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  shut(data); // when close() came first, on_closed is already on its way
}

static void on_collected(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  release(data);
}

static void call_on_wake(reactor *r) {
  napi_env env = r->env;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  napi_value receiver, callback;
  if (napi_get_reference_value(env, r->self, &receiver) == napi_ok &&
      napi_get_reference_value(env, r->on_wake, &callback) == napi_ok) {
    // No async context: a wake-up serves every packet that waits, so it belongs to nobody's asynchronous call.
    if (napi_make_callback(env, NULL, receiver, callback, 0, NULL, NULL) == napi_pending_exception) {
      napi_value thrown;
      if (napi_get_and_clear_last_exception(env, &thrown) == napi_ok) napi_fatal_exception(env, thrown);
    }
  }
  napi_close_handle_scope(env, scope);
}

static void on_epoll_readable(uv_poll_t *handle, int status, int events) {
  (void)status, (void)events;
  reactor *r = handle->data;
  struct epoll_event waiting[EVENTS_PER_WAKE];
  int count = epoll_wait(r->epoll, waiting, EVENTS_PER_WAKE, 0);
  bool wake = false;
  for (int i = 0; i < count; i++) {
    if (waiting[i].data.u32 == TIMER_TAG) {
      r->expired = true;
      r->deadline = 0;
      wake = true;
      continue;
    }
    port *p = find_port(r, waiting[i].data.u32);
    if (p == NULL) continue;
    wake = true;
    if (p->blocked && (waiting[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
      p->blocked = false;
      update_interest(r, p);
    }
    if (!p->paused && (waiting[i].events & ~(uint32_t)EPOLLOUT)) push_ready(r, p);
  }
  if (wake) call_on_wake(r); // may close r: nothing after this
}

// Opens what the kernel has to give. Returns NULL or the call that failed, with errno set.
static const char *open_descriptors(reactor *r) {
  r->timer = -1;
  r->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (r->epoll < 0) return "epoll_create1";
  r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (r->timer < 0) return "timerfd_create";
  // Edge-triggered, so that an expiry needs no read: setting the timer anew clears it.
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = TIMER_TAG};
  if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->timer, &event) != 0) return "epoll_ctl";
  return NULL;
}

static napi_value fail_to_construct(reactor *r, int error, const char *syscall) {
  napi_env env = r->env;
  if (r->timer >= 0) close(r->timer);
  if (r->epoll >= 0) close(r->epoll);
  free(r);
  return throw_errno(env, error, syscall, "creating a reactor");
}

static napi_value js_construct(napi_env env, napi_callback_info info) {
  napi_value on_wake, self, target;
  napi_valuetype type;
  uv_loop_t *loop;
  if (!take_arguments(env, info, "createReactor", 1, &on_wake, &self)) return NULL;
  if (napi_get_new_target(env, info, &target) != napi_ok || target == NULL) return throw_type(env, "Reactor needs new");
  if (napi_typeof(env, on_wake, &type) != napi_ok || type != napi_function)
    return throw_type(env, "onWake must be a function");

  reactor *r = calloc(1, sizeof *r);
  if (r == NULL) return throw_errno(env, ENOMEM, "malloc", "creating a reactor");
  r->env = env;
  const char *problem = open_descriptors(r);
  if (problem != NULL) return fail_to_construct(r, errno, problem);
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) return fail_to_construct(r, ENOSYS, "napi_get_uv_event_loop");
  int status = uv_poll_init(loop, &r->poll, r->epoll);
  if (status != 0) return fail_to_construct(r, -status, "uv_poll_init");

  // From here the uv handle owns r, and shut() undoes everything.
  r->poll.data = r;
  r->open = true;
  r->owners = 1;
  r->next_open = get_instance(env)->reactors;
  get_instance(env)->reactors = r;
  bool made = napi_add_async_cleanup_hook(env, on_environment_end, r, &r->cleanup) == napi_ok &&
              napi_wrap(env, self, r, on_collected, NULL, NULL) == napi_ok;
  if (made) r->owners++;
  made = made && napi_create_reference(env, self, 1, &r->self) == napi_ok &&
         napi_create_reference(env, on_wake, 1, &r->on_wake) == napi_ok &&
         uv_poll_start(&r->poll, UV_READABLE, on_epoll_readable) == 0;
  if (made) return self;
  shut(r);
  return throw_errno(env, ENOMEM, "uv_poll_start", "creating a reactor");
}

static napi_value js_create(napi_env env, napi_callback_info info) {
  napi_value on_wake, class, result;
  if (!take_arguments(env, info, "createReactor", 1, &on_wake, NULL)) return NULL;
  if (napi_get_reference_value(env, get_instance(env)->reactor_class, &class) != napi_ok) return NULL;
  return napi_new_instance(env, class, 1, &on_wake, &result) == napi_ok ? result : NULL;
}

reactor *take_reactor(napi_env env, napi_callback_info info, const char *method, size_t count, napi_value *values) {
  napi_value self;
  void *found = NULL;
  if (!take_arguments(env, info, method, count, values, &self)) return NULL;
  if (napi_unwrap(env, self, &found) != napi_ok) {
    throw_type(env, "%s: this is not a Reactor", method);
    return NULL;
  }
  reactor *r = found;
  if (!r->open) {
    throw_errno(env, EBADF, method, "using a closed reactor");
    return NULL;
  }
  return r;
}

static port *take_port(napi_env env, reactor *r, napi_value value) {
  int64_t index;
  if (!take_integer(env, value, "index", 0, MAX_INDEX, &index)) return NULL;
  port *p = find_port(r, (uint32_t)index);
  if (p == NULL) throw_errno(env, ENOENT, "epoll_ctl", "finding TUN index %d in the reactor", (int)index);
  return p;
}

static napi_value js_close(napi_env env, napi_callback_info info) {
  napi_value self;
  void *found = NULL;
  if (!take_arguments(env, info, "close", 0, NULL, &self)) return NULL;
  if (napi_unwrap(env, self, &found) != napi_ok) return throw_type(env, "close: this is not a Reactor");
  reactor *r = found;
  if (!r->open) return NULL;
  shut(r);
  napi_delete_reference(env, r->on_wake);
  napi_delete_reference(env, r->self);
  return NULL;
}

// --- registering ports ---

static bool reserve_port(reactor *r, size_t index) {
  if (index < r->port_capacity) return true;
  size_t capacity = r->port_capacity == 0 ? 16 : r->port_capacity;
  while (capacity <= index) capacity *= 2;
  port **grown = realloc(r->ports, capacity * sizeof *grown);
  if (grown == NULL) return false;
  memset(grown + r->port_capacity, 0, (capacity - r->port_capacity) * sizeof *grown);
  r->ports = grown;
  r->port_capacity = capacity;
  return true;
}

static napi_value js_add_tun(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int64_t fd, index;
  reactor *r = take_reactor(env, info, "addTun", 2, values);
  if (r == NULL || !take_integer(env, values[0], "fd", 0, INT_MAX, &fd) ||
      !take_integer(env, values[1], "index", 0, MAX_INDEX, &index))
    return NULL;
  if (find_port(r, (uint32_t)index) != NULL)
    return throw_errno(env, EEXIST, "epoll_ctl", "adding descriptor %d as index %d, taken", (int)fd, (int)index);
  int flags = fcntl((int)fd, F_GETFL);
  // A blocking descriptor would stop the whole program in readBatch.
  if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl((int)fd, F_SETFL, flags | O_NONBLOCK) < 0))
    return throw_errno(env, errno, "fcntl", "adding descriptor %d to the reactor", (int)fd);
  port *p = reserve_port(r, (size_t)index) ? calloc(1, sizeof *p) : NULL;
  if (p == NULL) return throw_errno(env, ENOMEM, "malloc", "adding descriptor %d to the reactor", (int)fd);
  p->fd = (int)fd;
  p->index = (uint32_t)index;
  int error = update_interest(r, p);
  if (error != 0) {
    free(p);
    return throw_errno(env, error, "epoll_ctl", "adding descriptor %d to the reactor", (int)fd);
  }
  r->ports[index] = p;
  return NULL;
}

static napi_value js_remove_tun(napi_env env, napi_callback_info info) {
  napi_value value;
  reactor *r = take_reactor(env, info, "removeTun", 1, &value);
  port *p = r == NULL ? NULL : take_port(env, r, value);
  if (p == NULL) return NULL;
  drop_port(r, p);
  r->ports[p->index] = NULL;
  free(p);
  return NULL;
}

static napi_value js_pause_read(napi_env env, napi_callback_info info) {
  napi_value values[2];
  bool paused;
  reactor *r = take_reactor(env, info, "pauseRead", 2, values);
  port *p = r == NULL ? NULL : take_port(env, r, values[0]);
  if (p == NULL || !take_boolean(env, values[1], "paused", &paused)) return NULL;
  p->paused = paused;
  if (paused) remove_ready(r, p);
  int error = update_interest(r, p);
  if (error != 0) return throw_errno(env, error, "epoll_ctl", "pausing or resuming TUN index %d", (int)p->index);
  return NULL;
}

// --- the timer ---

static napi_value js_set_timer(napi_env env, napi_callback_info info) {
  napi_value value;
  double deadline;
  reactor *r = take_reactor(env, info, "setTimer", 1, &value);
  if (r == NULL || !take_number(env, value, "deadlineNanoseconds", &deadline)) return NULL;
  if (isinf(deadline) && deadline > 0) deadline = 0;
  else if (deadline < 0) deadline = 1; // long past, but not "disarm"
  else if (deadline > 9e18) deadline = 9e18;
  if (deadline == r->deadline) return NULL;
  int64_t nanoseconds = (int64_t)deadline;
  if (nanoseconds == 0 && deadline > 0) nanoseconds = 1;
  struct itimerspec when = {
      .it_value = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000},
  };
  if (timerfd_settime(r->timer, TFD_TIMER_ABSTIME, &when, NULL) != 0)
    return throw_errno(env, errno, "timerfd_settime", "setting the timer to %.0f ns", deadline);
  r->deadline = deadline;
  return NULL;
}

static napi_value js_timer_expired(napi_env env, napi_callback_info info) {
  napi_value result;
  reactor *r = take_reactor(env, info, "timerExpired", 0, NULL);
  if (r == NULL) return NULL;
  bool expired = r->expired;
  r->expired = false;
  return napi_get_boolean(env, expired, &result) == napi_ok ? result : NULL;
}

bool register_reactor(napi_env env, napi_value exports) {
#define METHOD(name, callback) {name, NULL, callback, NULL, NULL, NULL, napi_default_method, NULL}
  const napi_property_descriptor methods[] = {
      METHOD("addTun", js_add_tun),       METHOD("removeTun", js_remove_tun),       METHOD("pauseRead", js_pause_read),
      METHOD("setTimer", js_set_timer),   METHOD("timerExpired", js_timer_expired), METHOD("readBatch", js_read_batch),
      METHOD("writeBatch", js_write_batch), METHOD("close", js_close),
  };
#undef METHOD
  napi_value class;
  return napi_define_class(env, "Reactor", NAPI_AUTO_LENGTH, js_construct, NULL, sizeof methods / sizeof *methods, methods,
                           &class) == napi_ok &&
         napi_create_reference(env, class, 1, &get_instance(env)->reactor_class) == napi_ok &&
         set_function(env, exports, "createReactor", js_create);
}
