// SPDX-License-Identifier: Apache-2.0

#include "libpolicy/kernel/program_features.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include <iterator>
#include <memory>

#include "libpolicy/base/unique_fd.h"
#include "libpolicy/kernel/libbpf_log.h"

namespace netpolicy {
namespace {

struct FreeBtf {
  void operator()(btf* types) const { btf__free(types); }
};

constexpr bpf_insn Instruction(int code, int dst, int src, int imm) {
  return {.code = static_cast<__u8>(code),
          .dst_reg = static_cast<__u8>(dst & 0xf),
          .src_reg = static_cast<__u8>(src & 0xf),
          .off = 0,
          .imm = imm};
}

}  // namespace

bool HasStorageAtSocketCreate() {
  const LibbpfLog quiet;
  return libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK,
                                 BPF_FUNC_sk_storage_get, nullptr) == 1;
}

bool HasStorageAtConnect() {
  const LibbpfLog quiet;
  return libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
                                 BPF_FUNC_sk_storage_get, nullptr) == 1;
}

bool HasTypedSkb() {
  const LibbpfLog quiet;
  const std::unique_ptr<btf, FreeBtf> types(btf__load_vmlinux_btf());
  if (types == nullptr) return false;
  const int function = btf__find_by_name_kind(
      types.get(), "bpf_cast_to_kern_ctx", BTF_KIND_FUNC);
  if (function <= 0) return false;
  // The context is in r1 already.
  const bpf_insn instructions[] = {
      Instruction(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, function),
      Instruction(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_0, 0),
      Instruction(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 1),
      Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0),
  };
  LIBBPF_OPTS(bpf_prog_load_opts, options,
              .expected_attach_type = BPF_CGROUP_INET_INGRESS);
  return UniqueFd(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "np_probe", "GPL",
                                instructions, std::size(instructions),
                                &options))
      .ok();
}

}  // namespace netpolicy
