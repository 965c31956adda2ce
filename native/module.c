// The addon's entry, and what each environment owns. Loading it in a Worker gives that Worker an instance of its own.
#include "omni.h"

#include <stdlib.h>
#include <unistd.h>

instance *get_instance(napi_env env) {
  void *self = NULL;
  napi_get_instance_data(env, &self);
  return self;
}

bool own_fd(instance *self, int fd) {
  if (self->fd_count == self->fd_capacity) {
    size_t capacity = self->fd_capacity == 0 ? 16 : 2 * self->fd_capacity;
    int *grown = realloc(self->fds, capacity * sizeof *grown);
    if (grown == NULL) return false;
    self->fds = grown;
    self->fd_capacity = capacity;
  }
  self->fds[self->fd_count++] = fd;
  return true;
}

bool disown_fd(instance *self, int fd) {
  for (size_t i = 0; i < self->fd_count; i++) {
    if (self->fds[i] != fd) continue;
    self->fds[i] = self->fds[--self->fd_count];
    return true;
  }
  return false;
}

// Runs when the environment ends, after every reactor was closed by its own hook: a Worker must not leak its devices.
static void free_instance(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  instance *self = data;
  for (size_t i = 0; i < self->fd_count; i++) close(self->fds[i]);
  free(self->fds);
  free(self);
}

NAPI_MODULE_INIT() {
  instance *self = calloc(1, sizeof *self);
  if (self == NULL || napi_set_instance_data(env, self, free_instance, NULL) != napi_ok) {
    free(self);
    napi_throw_error(env, NULL, "omni native: out of memory");
    return NULL;
  }
  if (!register_tun(env, exports) || !register_reactor(env, exports) || !register_realtime(env, exports) ||
      !register_tcp(env, exports))
    return NULL;
  return exports;
}
