// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_REASON_H_
#define NETPOLICY_BPF_PROGS_ABI_REASON_H_

// Reasons: why a packet, or a socket call, is refused.
//
// Shared by: every program that judges, libpolicy, the service protocol, ndc.
//
// A set of reasons is a __u64; reason N is bit N. An empty set means "let it
// pass". Bits 0 to 12 and 32 to 63 are at once the bits of a UID's rule word
// (struct np_uid_policy) and of the enabled word (struct np_policy_config):
// chain N gives reason N, so one expression yields all reasons of all chains.
// Numbers 1 to 12 are Android's chain numbers.
//
// Numbers are for ever: a retired one stays reserved.

#define NP_REASON_UID_RULE \
  0 /* the UID's own allow/deny rule, or the default rule */
#define NP_REASON_DOZABLE 1
#define NP_REASON_STANDBY 2
#define NP_REASON_POWERSAVE 3
#define NP_REASON_RESTRICTED 4
#define NP_REASON_LOW_POWER_STANDBY 5
#define NP_REASON_BACKGROUND 6
#define NP_REASON_OEM_DENY_1 7
#define NP_REASON_OEM_DENY_2 8
#define NP_REASON_OEM_DENY_3 9
#define NP_REASON_DATA_SAVER 10 /* chain metered_allow */
#define NP_REASON_METERED_DENY_USER 11
#define NP_REASON_METERED_DENY_ADMIN 12
#define NP_REASON_LOCKDOWN_VPN 13
#define NP_REASON_INTERFACE_RULE 14
#define NP_REASON_INGRESS_DISCARD 15
#define NP_REASON_LOCAL_NETWORK 16
#define NP_REASON_INTERNET_PERMISSION 17
#define NP_REASON_NETWORK_RULE 18
#define NP_REASON_QUOTA 19
#define NP_REASON_BIND_PORT 20
#define NP_REASON_NO_OWNER 21
/* 22 to 31: reserved */
#define NP_REASON_USER_CHAIN_0 \
  32 /* first of NP_USER_CHAINS chains that the policy names */
#define NP_USER_CHAINS 32
#define NP_REASONS 64

#define NP_REASON_BIT(n) (1ULL << (n))

#endif  // NETPOLICY_BPF_PROGS_ABI_REASON_H_
