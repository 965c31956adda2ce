// Packets between descriptors and a JS arena, many in one call. All arguments are checked before the first system call,
// so that a mistake neither loses a packet nor touches memory that is not the caller's.
#include "reactor.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

// Packets taken from one TUN before the next has its turn.
#define READ_QUOTA 16
#define TRUNCATED (-1) // no read fails with EPERM, so -1 is free

// A packet read into an array of offsets could move offsets that were already checked.
static bool overlap(array_view a, size_t a_octets, array_view b, size_t b_octets) {
  uintptr_t start_a = (uintptr_t)a.data, start_b = (uintptr_t)b.data;
  return a_octets > 0 && b_octets > 0 && start_a < start_b + b_octets && start_b < start_a + a_octets;
}

static bool check_apart(napi_env env, array_view arena, array_view one, array_view other) {
  size_t one_octets = one.length * sizeof(int32_t), other_octets = other.length * sizeof(int32_t);
  if (!overlap(arena, arena.length, one, one_octets) && !overlap(arena, arena.length, other, other_octets) &&
      !overlap(one, one_octets, other, other_octets))
    return true;
  throw_range(env, "the three arrays must not overlap in memory");
  return false;
}

// The device or peer is gone: there is no use in asking again.
static bool is_final(int error) { return error == EBADFD || error == EBADF || error == ENODEV || error == ENOTCONN; }

typedef enum { DRAINED, MORE, GONE } read_outcome;

// One packet, or one failure, into *length. DRAINED leaves *length alone.
static read_outcome read_packet(port *p, uint8_t *slot, size_t slot_octets, int32_t *length) {
  // The kernel cuts a packet that does not fit and says so to nobody; an octet beyond the slot tells.
  uint8_t beyond;
  struct iovec parts[2] = {{.iov_base = slot, .iov_len = slot_octets}, {.iov_base = &beyond, .iov_len = 1}};
  ssize_t got;
  do got = readv(p->fd, parts, 2);
  while (got < 0 && errno == EINTR);
  if (got > 0) {
    *length = (size_t)got > slot_octets ? TRUNCATED : (int32_t)got;
    return MORE;
  }
  int error = got == 0 ? ENOTCONN : errno; // 0: the other end of a socket closed; a TUN never says it
  if (error == EAGAIN) return DRAINED;
  *length = -error;
  return is_final(error) ? GONE : MORE;
}

napi_value js_read_batch(napi_env env, napi_callback_info info) {
  napi_value values[5], result;
  array_view arena, offsets, out;
  int64_t slot_count, slot_octets;
  reactor *r = take_reactor(env, info, "readBatch", 5, values);
  if (r == NULL || !take_array(env, values[0], "arena", napi_uint8_array, &arena) ||
      !take_array(env, values[1], "slotOffsets", napi_int32_array, &offsets) ||
      !take_array(env, values[4], "out", napi_int32_array, &out) ||
      !take_integer(env, values[2], "slotCount", 0, (int64_t)offsets.length, &slot_count) ||
      !take_integer(env, values[3], "slotOctets", 1, INT32_MAX - 1, &slot_octets) ||
      !check_apart(env, arena, offsets, out))
    return NULL;
  if ((int64_t)out.length < 2 * slot_count) return throw_range(env, "out must hold 2 * slotCount integers");
  const int32_t *offset = offsets.data;
  for (int64_t i = 0; i < slot_count; i++)
    if (offset[i] < 0 || offset[i] + slot_octets > (int64_t)arena.length)
      return throw_range(env, "slotOffsets[%d] = %d does not leave %d octets in an arena of %zu", (int)i, offset[i],
                         (int)slot_octets, arena.length);

  int32_t *pairs = out.data;
  int64_t count = 0;
  while (count < slot_count && r->first_ready != NULL) {
    port *p = r->first_ready;
    read_outcome outcome = MORE;
    for (int turn = 0; turn < READ_QUOTA && count < slot_count && outcome == MORE; turn++) {
      outcome = read_packet(p, (uint8_t *)arena.data + offset[count], (size_t)slot_octets, &pairs[2 * count + 1]);
      if (outcome != DRAINED) pairs[2 * count++] = (int32_t)p->index;
    }
    remove_ready(r, p);
    if (outcome == MORE) push_ready(r, p); // to the back of the line
    if (outcome == GONE) drop_port(r, p);
  }
  return napi_create_int32(env, (int32_t)count, &result) == napi_ok ? result : NULL;
}

// 0 or an errno. Once a TUN has said "not now", its later packets wait as well, so that they keep their order.
static int write_packet(reactor *r, uint32_t index, const uint8_t *packet, size_t octets) {
  port *p = find_port(r, index);
  if (p == NULL) return ENODEV;
  if (p->blocked) return EAGAIN;
  ssize_t put;
  do put = write(p->fd, packet, octets);
  while (put < 0 && errno == EINTR);
  if (put >= 0) return 0;
  int error = errno;
  if (error == EAGAIN) {
    p->blocked = true;
    update_interest(r, p);
  }
  return error;
}

napi_value js_write_batch(napi_env env, napi_callback_info info) {
  napi_value values[4], result;
  array_view arena, descriptors, results;
  int64_t count;
  reactor *r = take_reactor(env, info, "writeBatch", 4, values);
  if (r == NULL || !take_array(env, values[0], "arena", napi_uint8_array, &arena) ||
      !take_array(env, values[1], "descriptors", napi_int32_array, &descriptors) ||
      !take_array(env, values[3], "results", napi_int32_array, &results) ||
      !take_integer(env, values[2], "count", 0, (int64_t)(descriptors.length / 3), &count) ||
      !check_apart(env, arena, descriptors, results))
    return NULL;
  if ((int64_t)results.length < count) return throw_range(env, "results must hold count integers");
  const int32_t *triple = descriptors.data;
  for (int64_t i = 0; i < count; i++) {
    int64_t index = triple[3 * i], offset = triple[3 * i + 1], length = triple[3 * i + 2];
    if (index < 0 || index > MAX_INDEX || offset < 0 || length < 1 || offset + length > (int64_t)arena.length)
      return throw_range(env, "descriptor %d (index %d, offset %d, length %d) is not within an arena of %zu octets", (int)i,
                         (int)index, (int)offset, (int)length, arena.length);
  }

  int32_t *outcome = results.data, accepted = 0;
  for (int64_t i = 0; i < count; i++) {
    outcome[i] = write_packet(r, (uint32_t)triple[3 * i], (uint8_t *)arena.data + triple[3 * i + 1], (size_t)triple[3 * i + 2]);
    accepted += outcome[i] == 0;
  }
  return napi_create_int32(env, accepted, &result) == napi_ok ? result : NULL;
}
