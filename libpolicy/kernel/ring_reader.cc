// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/ring_reader.h"

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstddef>

#include "libpolicy/kernel/errno_status.h"
#include "libpolicy/kernel/libbpf_log.h"

namespace netpolicy {
namespace {

int Ignore(void*, void*, size_t) { return 0; }

}  // namespace

void RingReader::Free::operator()(ring_buffer* ring) const {
  ring_buffer__free(ring);
}

absl::StatusOr<RingReader> RingReader::Open(int map) {
  const LibbpfLog log;
  ring_buffer* const ring = ring_buffer__new(map, &Ignore, nullptr, nullptr);
  if (ring == nullptr) return StatusFromErrno(errno, "open ring");
  return RingReader(ring);
}

int RingReader::fd() const { return ring_buffer__epoll_fd(ring_.get()); }

absl::Status RingReader::Drain() {
  const int done = ring_buffer__consume(ring_.get());
  return done < 0 ? StatusFromErrno(-done, "read ring") : absl::OkStatus();
}

}  // namespace netpolicy
