// Shared by the files of the addon. See README.md for what belongs here (system calls) and what does not (protocols).
#ifndef OMNI_H
#define OMNI_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// --- arguments.c: reading arguments and throwing. Every `take_*` returns false with a JS exception pending. ---

bool take_arguments(napi_env env, napi_callback_info info, const char *function, size_t count, napi_value *values,
                    napi_value *receiver);
bool take_integer(napi_env env, napi_value value, const char *what, int64_t low, int64_t high, int64_t *result);
bool take_number(napi_env env, napi_value value, const char *what, double *result);
bool take_boolean(napi_env env, napi_value value, const char *what, bool *result);
bool take_string(napi_env env, napi_value value, const char *what, char *result, size_t capacity);
bool take_object(napi_env env, napi_value value, const char *what);
// An absent or undefined property leaves *result as it was and sets *present (which may be NULL) to false.
bool take_string_property(napi_env env, napi_value object, const char *key, char *result, size_t capacity, bool *present);
bool take_boolean_property(napi_env env, napi_value object, const char *key, bool *result);
bool take_integer_property(napi_env env, napi_value object, const char *key, int64_t low, int64_t high, int64_t *result);

// A typed array as C sees it. `length` counts elements.
typedef struct {
  void *data;
  size_t length;
} array_view;

// Accepts only arrays over unshared memory: what was checked must not change before it is used.
bool take_array(napi_env env, napi_value value, const char *what, napi_typedarray_type type, array_view *result);

// All three return NULL, so that a callback can say `return throw_errno(...)`.
napi_value throw_type(napi_env env, const char *format, ...) __attribute__((format(printf, 2, 3)));
napi_value throw_range(napi_env env, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A JS Error shaped as Node shapes its own: code 'EBUSY', errno negative, syscall, and what was attempted.
napi_value throw_errno(napi_env env, int error, const char *syscall, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

bool set_function(napi_env env, napi_value exports, const char *name, napi_callback callback);

// --- module.c: what one environment (the main thread, or a Worker) owns. ---

typedef struct reactor reactor;

typedef struct {
  napi_ref reactor_class;
  reactor *reactors; // the open ones
  int *fds;          // opened here and not yet closed
  size_t fd_count, fd_capacity;
} instance;

instance *get_instance(napi_env env);
bool own_fd(instance *self, int fd); // false: out of memory
bool disown_fd(instance *self, int fd); // false: was never ours

// --- one registration function a file ---

bool register_tun(napi_env env, napi_value exports);
bool register_reactor(napi_env env, napi_value exports);
bool register_realtime(napi_env env, napi_value exports);
bool register_tcp(napi_env env, napi_value exports);

bool reactors_hold_fd(const instance *self, int fd);

#endif
