// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_KERNEL_RING_READER_H_
#define NETPOLICY_LIBPOLICY_KERNEL_RING_READER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct ring_buffer;

namespace netpolicy {

// The reading end of a BPF ring buffer whose records only say "look". A ring
// has one reading position, so one reader at a time sees all of them. Movable;
// not thread-safe.
class RingReader {
 public:
  // `map`: a descriptor of the ring; stays the caller's and must outlive the
  // reader. What is in the ring already is there to be read. Errors, as "open
  // ring: cause": kInvalidArgument when it is no ring; the system's.
  static absl::StatusOr<RingReader> Open(int map);

  // Readable for poll(2) and its like while there are records. The reader's.
  int fd() const;

  // Takes all records out. Errors, as "read ring: cause": the system's.
  absl::Status Drain();

 private:
  struct Free {
    void operator()(ring_buffer* ring) const;
  };
  explicit RingReader(ring_buffer* ring) : ring_(ring) {}

  std::unique_ptr<ring_buffer, Free> ring_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_RING_READER_H_
