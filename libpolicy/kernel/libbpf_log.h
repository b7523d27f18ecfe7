// SPDX-License-Identifier: Apache-2.0
//
// libbpf explains its errors by printing them to standard error. This takes
// what it says to one thread, so that it can go into a status instead.

#ifndef NETPOLICY_LIBPOLICY_KERNEL_LIBBPF_LOG_H_
#define NETPOLICY_LIBPOLICY_KERNEL_LIBBPF_LOG_H_

#include <string>

namespace netpolicy {

// While it lives, libbpf's warnings to the constructing thread are collected.
// Other threads' go where they went before. Not movable; at most one in a
// thread at a time.
class LibbpfLog {
 public:
  LibbpfLog();
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;
  ~LibbpfLog();

  // Everything so far, as printed.
  const std::string& text() const { return text_; }

  // The last line that says what is wrong, without "libbpf: "; with the
  // verifier's last words when it has spoken: "prog 'np_ingress': failed to
  // load: -22: unknown func bpf_sk_storage_get#107". Empty: none.
  std::string LastWarning() const;

 private:
  std::string text_;
};

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_LIBBPF_LOG_H_
