// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_LIBPOLICY_KERNEL_PROGRAM_FEATURES_H_
#define NETPOLICY_LIBPOLICY_KERNEL_PROGRAM_FEATURES_H_

namespace netpolicy {

// What the programs can use on this kernel, where they also do without. Tried
// with programs that are attached to nothing; false, too, where programs can't
// be loaded at all. Thread-safe.

// Whether bpf_sk_storage_get() can be called when a socket is created (Linux
// 5.12), and when it gets an address (Linux 5.8).
bool HasStorageAtSocketCreate();
bool HasStorageAtConnect();

// Whether cgroup_skb programs may call bpf_cast_to_kern_ctx() and read the
// struct sk_buff that it returns (Linux 6.2).
bool HasTypedSkb();

}  // namespace netpolicy

#endif  // NETPOLICY_LIBPOLICY_KERNEL_PROGRAM_FEATURES_H_
