// Clocks, and asking the scheduler for precision. Each of these acts on the calling thread only, except lockMemory.
#include "omni.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

static int64_t clock_nanoseconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static napi_value js_monotonic(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result;
  return napi_create_double(env, (double)clock_nanoseconds(CLOCK_MONOTONIC), &result) == napi_ok ? result : NULL;
}

static napi_value js_realtime(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result;
  return napi_create_bigint_int64(env, clock_nanoseconds(CLOCK_REALTIME), &result) == napi_ok ? result : NULL;
}

// "May I?" calls: the kernel's refusal is an answer, not an error.
static napi_value answer(napi_env env, bool granted) {
  napi_value result;
  return napi_get_boolean(env, granted, &result) == napi_ok ? result : NULL;
}

static napi_value js_set_priority(napi_env env, napi_callback_info info) {
  napi_value value;
  int64_t priority;
  if (!take_arguments(env, info, "setRealtimePriority", 1, &value, NULL)) return NULL;
  if (!take_integer(env, value, "priority", 0, 99, &priority)) return NULL;
  // RESET_ON_FORK: programs and threads that we start must not inherit it and starve everybody else.
  struct sched_param parameters = {.sched_priority = (int)priority};
  int policy = (priority == 0 ? SCHED_OTHER : SCHED_FIFO) | SCHED_RESET_ON_FORK;
  if (sched_setscheduler(0, policy, &parameters) == 0) return answer(env, true);
  if (errno == EPERM) return answer(env, false);
  return throw_errno(env, errno, "sched_setscheduler", "setting real-time priority %d", (int)priority);
}

// Not mlockall: V8 gives pages of its heap back with madvise, which the kernel refuses for locked memory, and V8 then
// aborts. What is mapped from files (node and its libraries) V8 leaves alone, and it is what gets evicted first: clean
// pages go even on a machine without swap.
static bool is_ours_to_lock(const char *permissions, const char *name) {
  return permissions[0] == 'r' && (name[0] == '/' || strcmp(name, "[stack]") == 0);
}

static napi_value js_lock_memory(napi_env env, napi_callback_info info) {
  (void)info;
  FILE *maps = fopen("/proc/self/maps", "re");
  if (maps == NULL) return throw_errno(env, errno, "open", "reading /proc/self/maps");
  char line[PATH_MAX + 128];
  int error = 0;
  while (error == 0 && fgets(line, sizeof line, maps) != NULL) {
    uintptr_t start, end;
    char permissions[8], name[16] = "";
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s %*s %*s %*s %15s", &start, &end, permissions, name) < 3) continue;
    if (!is_ours_to_lock(permissions, name)) continue;
    // ONFAULT: keep what is used, rather than read in the 100 MB of which most never is.
    if (mlock2((void *)start, end - start, MLOCK_ONFAULT) != 0) error = errno;
  }
  fclose(maps);
  if (error == 0) return answer(env, true);
  if (error == EPERM || error == ENOMEM || error == EAGAIN) return answer(env, false);
  return throw_errno(env, error, "mlock2", "locking memory");
}

static napi_value js_set_affinity(napi_env env, napi_callback_info info) {
  napi_value list, item;
  bool is_array = false;
  uint32_t count;
  cpu_set_t cpus;
  if (!take_arguments(env, info, "setCpuAffinity", 1, &list, NULL)) return NULL;
  if (napi_is_array(env, list, &is_array) != napi_ok || !is_array || napi_get_array_length(env, list, &count) != napi_ok)
    return throw_type(env, "cpus must be an array of CPU numbers");
  if (count == 0 || count > CPU_SETSIZE) return throw_range(env, "cpus must name 1 to %d CPUs", CPU_SETSIZE);
  CPU_ZERO(&cpus);
  for (uint32_t i = 0; i < count; i++) {
    int64_t cpu;
    if (napi_get_element(env, list, i, &item) != napi_ok) return NULL;
    if (!take_integer(env, item, "cpu", 0, CPU_SETSIZE - 1, &cpu)) return NULL;
    CPU_SET((size_t)cpu, &cpus);
  }
  if (sched_setaffinity(0, sizeof cpus, &cpus) == 0) return answer(env, true);
  // EINVAL: none of these CPUs exists or is allowed to us.
  if (errno == EPERM || errno == EINVAL) return answer(env, false);
  return throw_errno(env, errno, "sched_setaffinity", "setting CPU affinity");
}

static napi_value js_set_timer_slack(napi_env env, napi_callback_info info) {
  napi_value value;
  int64_t slack;
  if (!take_arguments(env, info, "setTimerSlack", 1, &value, NULL)) return NULL;
  if (!take_integer(env, value, "nanoseconds", 0, 1000000000, &slack)) return NULL;
  if (prctl(PR_SET_TIMERSLACK, (unsigned long)slack, 0, 0, 0) == 0) return NULL;
  return throw_errno(env, errno, "prctl(PR_SET_TIMERSLACK)", "setting timer slack %lld ns", (long long)slack);
}

static napi_value js_parent_death_signal(napi_env env, napi_callback_info info) {
  napi_value value;
  int64_t number;
  if (!take_arguments(env, info, "parentDeathSignal", 1, &value, NULL)) return NULL;
  if (!take_integer(env, value, "signal", 0, SIGRTMAX, &number)) return NULL;
  if (prctl(PR_SET_PDEATHSIG, (unsigned long)number, 0, 0, 0) == 0) return NULL;
  return throw_errno(env, errno, "prctl(PR_SET_PDEATHSIG)", "asking for signal %d when the parent dies", (int)number);
}

bool register_realtime(napi_env env, napi_value exports) {
  return set_function(env, exports, "monotonicNanoseconds", js_monotonic) &&
         set_function(env, exports, "realtimeNanoseconds", js_realtime) &&
         set_function(env, exports, "setRealtimePriority", js_set_priority) &&
         set_function(env, exports, "lockMemory", js_lock_memory) &&
         set_function(env, exports, "setCpuAffinity", js_set_affinity) &&
         set_function(env, exports, "setTimerSlack", js_set_timer_slack) &&
         set_function(env, exports, "parentDeathSignal", js_parent_death_signal);
}
