// Argument checks and errors. Callers' mistakes throw TypeError or RangeError; the kernel's refusals throw an Error
// with code, errno and syscall.
#include "omni.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

bool take_arguments(napi_env env, napi_callback_info info, const char *function, size_t count, napi_value *values,
                    napi_value *receiver) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, values, receiver, NULL) != napi_ok) return false;
  if (given >= count) return true;
  throw_type(env, "%s takes %zu argument%s, %zu given", function, count, count == 1 ? "" : "s", given);
  return false;
}

static bool is_type(napi_env env, napi_value value, napi_valuetype type) {
  napi_valuetype actual;
  return napi_typeof(env, value, &actual) == napi_ok && actual == type;
}

bool take_number(napi_env env, napi_value value, const char *what, double *result) {
  if (napi_get_value_double(env, value, result) != napi_ok) {
    throw_type(env, "%s must be a number", what);
    return false;
  }
  if (isnan(*result)) {
    throw_range(env, "%s must not be NaN", what);
    return false;
  }
  return true;
}

bool take_integer(napi_env env, napi_value value, const char *what, int64_t low, int64_t high, int64_t *result) {
  double number;
  if (!take_number(env, value, what, &number)) return false;
  // The range is tested on the double: converting a huge double to an integer is undefined in C.
  if (number < (double)low || number > (double)high || number != trunc(number)) {
    throw_range(env, "%s must be an integer from %lld to %lld, not %g", what, (long long)low, (long long)high, number);
    return false;
  }
  *result = (int64_t)number;
  return true;
}

bool take_boolean(napi_env env, napi_value value, const char *what, bool *result) {
  if (napi_get_value_bool(env, value, result) == napi_ok) return true;
  throw_type(env, "%s must be a boolean", what);
  return false;
}

bool take_string(napi_env env, napi_value value, const char *what, char *result, size_t capacity) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    throw_type(env, "%s must be a string", what);
    return false;
  }
  if (length >= capacity) {
    throw_range(env, "%s is %zu octets long, at most %zu fit", what, length, capacity - 1);
    return false;
  }
  if (napi_get_value_string_utf8(env, value, result, capacity, &length) != napi_ok) return false;
  if (strlen(result) != length) {
    throw_range(env, "%s must not contain a NUL", what);
    return false;
  }
  return true;
}

bool take_object(napi_env env, napi_value value, const char *what) {
  if (is_type(env, value, napi_object)) return true;
  throw_type(env, "%s must be an object", what);
  return false;
}

// Tells "absent" (true, *value NULL) from "a getter threw" (false).
static bool get_property(napi_env env, napi_value object, const char *key, napi_value *value) {
  if (napi_get_named_property(env, object, key, value) != napi_ok) return false;
  if (is_type(env, *value, napi_undefined)) *value = NULL;
  return true;
}

bool take_string_property(napi_env env, napi_value object, const char *key, char *result, size_t capacity, bool *present) {
  napi_value value;
  if (!get_property(env, object, key, &value)) return false;
  if (present != NULL) *present = value != NULL;
  return value == NULL || take_string(env, value, key, result, capacity);
}

bool take_boolean_property(napi_env env, napi_value object, const char *key, bool *result) {
  napi_value value;
  if (!get_property(env, object, key, &value)) return false;
  return value == NULL || take_boolean(env, value, key, result);
}

bool take_integer_property(napi_env env, napi_value object, const char *key, int64_t low, int64_t high, int64_t *result) {
  napi_value value;
  if (!get_property(env, object, key, &value)) return false;
  return value == NULL || take_integer(env, value, key, low, high, result);
}

bool take_array(napi_env env, napi_value value, const char *what, napi_typedarray_type type, array_view *result) {
  const char *wanted = type == napi_uint8_array ? "Uint8Array" : "Int32Array";
  bool is_array = false;
  napi_typedarray_type actual;
  napi_value buffer;
  if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array ||
      napi_get_typedarray_info(env, value, &actual, &result->length, &result->data, &buffer, NULL) != napi_ok ||
      actual != type) {
    throw_type(env, "%s must be a %s", what, wanted);
    return false;
  }
  bool unshared = false;
  if (napi_is_arraybuffer(env, buffer, &unshared) != napi_ok || !unshared) {
    throw_type(env, "%s must not be over a SharedArrayBuffer", what);
    return false;
  }
  return true;
}

static napi_value throw_with(napi_env env, napi_status (*throw_it)(napi_env, const char *, const char *),
                             const char *code, const char *format, va_list values) {
  char message[512];
  vsnprintf(message, sizeof message, format, values);
  throw_it(env, code, message);
  return NULL;
}

napi_value throw_type(napi_env env, const char *format, ...) {
  va_list values;
  va_start(values, format);
  throw_with(env, napi_throw_type_error, "ERR_INVALID_ARG_TYPE", format, values);
  va_end(values);
  return NULL;
}

napi_value throw_range(napi_env env, const char *format, ...) {
  va_list values;
  va_start(values, format);
  throw_with(env, napi_throw_range_error, "ERR_OUT_OF_RANGE", format, values);
  va_end(values);
  return NULL;
}

napi_value throw_errno(napi_env env, int error, const char *syscall, const char *format, ...) {
  char attempt[512], message[768], code[32];
  va_list values;
  va_start(values, format);
  vsnprintf(attempt, sizeof attempt, format, values);
  va_end(values);
  // libuv does not know EBADFD, the one errno that a TUN has of its own.
  if (error == EBADFD) snprintf(code, sizeof code, "EBADFD");
  else uv_err_name_r(-error, code, sizeof code);
  snprintf(message, sizeof message, "%s: %s: %s, %s", attempt, syscall, code, strerror(error));

  napi_value thrown, field;
  if (napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &field) != napi_ok) return NULL;
  if (napi_create_error(env, NULL, field, &thrown) != napi_ok) return NULL;
  napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &field);
  napi_set_named_property(env, thrown, "code", field);
  napi_create_int32(env, -error, &field);
  napi_set_named_property(env, thrown, "errno", field);
  napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &field);
  napi_set_named_property(env, thrown, "syscall", field);
  napi_throw(env, thrown);
  return NULL;
}

bool set_function(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}
