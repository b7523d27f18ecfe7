// SPDX-License-Identifier: Apache-2.0
//
// Whatever bytes arrive as a request: there is one response, it can be decoded,
// and a peer without rights has changed nothing.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "netd/service/handler.h"
#include "netd/service/service.pb.h"
#include "netd/service/testing/fake_charging.h"
#include "netd/service/testing/fake_policy.h"
#include "netd/service/testing/fake_quotas.h"
#include "netd/service/wire.h"

namespace {

void Check(bool condition) {
  if (!condition) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view request(reinterpret_cast<const char*>(data), size);
  constexpr gid_t kReaders = 500;
  const netpolicy::Peer peers[] = {
      {.uid = 0, .pid = 1, .groups = {}},
      {.uid = 1000, .pid = 1, .groups = {kReaders}},
      {.uid = 1000, .pid = 1, .groups = {}},
  };
  for (const netpolicy::Peer& peer : peers) {
    netpolicy::testing::FakePolicy policy;
    const netpolicy::AccessRules rules = {
        .own_uid = 0, .read_group = kReaders, .change_group = {}};
    netpolicy::RequestHandler handler(policy, rules, nullptr, &policy);
    netpolicy::testing::FakeQuotas quotas;
    handler.set_quotas(&quotas);
    netpolicy::testing::FakeCharging charging;
    handler.set_charging(&charging);
    // Every other request comes with a descriptor.
    absl::optional<int> descriptor;
    if (size % 2 == 1) descriptor = 0;
    const netpolicy::HandledRequest handled =
        handler.Handle(peer, request, descriptor);

    netpolicy::service::Response response;
    Check(response.ParseFromString(handled.response));
    Check(netpolicy::StatusFromWire(response) == handled.record.status);
    Check(handled.record.status.ok() ==
          (response.result_case() !=
           netpolicy::service::Response::RESULT_NOT_SET));
    Check(charging.calls.size() <= 1);
    for (const auto& call : charging.calls) {
      Check(call.caller.has_value() == (peer.uid != 0));
      Check((call.inode != 0) <= descriptor.has_value());
    }
    if (peer.uid != 0) {
      Check(policy.snapshot.generation == netpolicy::Generation{1});
      Check(quotas.changes == 0);
      Check(peer.groups.empty() ? policy.calls == 0 : true);
    }
  }
  return 0;
}
