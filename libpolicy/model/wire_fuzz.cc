// A transaction from the wire is refused, or makes a valid policy. The input is
// a seed for a transaction and then changes to its bytes: to start with any
// bytes would hardly ever get past the outermost message.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "libpolicy/model/edit.h"
#include "libpolicy/model/image.h"
#include "libpolicy/model/random_policy.h"
#include "libpolicy/model/wire.h"

namespace {

void Require(bool condition) {
  if (!condition) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  netpolicy::testing::Random random(size == 0 ? 0 : data[0]);
  const netpolicy::Policy base = netpolicy::testing::RandomPolicy(random);
  netpolicy::Transaction transaction;
  for (int i = 0; i < 4; ++i) {
    transaction.push_back(netpolicy::testing::RandomChange(random, base));
    transaction.push_back(netpolicy::testing::RandomNetworkChange(random));
  }
  transaction.push_back(netpolicy::ReplacePolicy{
      netpolicy::testing::RandomNetworkPolicy(random)});
  transaction.push_back(netpolicy::testing::RandomChange(random, base));

  std::string bytes = netpolicy::ToProto(transaction).SerializeAsString();
  for (size_t i = 1; i + 2 < size; i += 3) {
    bytes[(data[i] << 8 | data[i + 1]) % bytes.size()] =
        static_cast<char>(data[i + 2]);
  }

  netpolicy::proto::Transaction message;
  if (!message.ParseFromString(bytes)) return 0;
  const absl::StatusOr<netpolicy::Transaction> received =
      netpolicy::FromProto(message);
  if (!received.ok()) {
    Require(!received.status().message().empty());
    return 0;
  }
  netpolicy::PolicyEdit edit(base);
  for (const netpolicy::Change& change : *received) {
    edit.Apply(change).IgnoreError();
  }
  netpolicy::Policy policy = base;
  const netpolicy::PolicyDelta delta = edit.Delta();
  netpolicy::PolicyEdit::ApplyDelta(delta, policy);
  // A policy may need more of something than tables have.
  const absl::StatusOr<netpolicy::MapImage> image = netpolicy::Compile(policy);
  if (image.ok()) {
    const absl::StatusOr<netpolicy::Policy> read = netpolicy::Decompile(*image);
    Require(read.ok() && *read == policy);
  }
  const absl::StatusOr<netpolicy::PolicyDelta> sent =
      netpolicy::FromProto(netpolicy::ToProto(delta));
  Require(sent.ok() && *sent == delta);
  return 0;
}
