// SPDX-License-Identifier: Apache-2.0

#include "clat/testing/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "libpolicy/base/status_macros.h"
#include "libpolicy/testing/errno_status.h"
#include "libpolicy/testing/scratch_dir.h"

namespace netpolicy::clat::testing {

using netpolicy::testing::ChildProcess;
using netpolicy::testing::NetNamespace;

absl::StatusOr<ChildProcess> StartProgram(
    const NetNamespace& ns, const std::vector<std::string>& arguments,
    const std::string& log) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  if (access(argv[0], X_OK) != 0) {
    return netpolicy::testing::ErrnoStatus(errno,
                                           absl::StrCat("run ", arguments[0]));
  }
  return ChildProcess::Start(
      {.netns = ns.fd()},
      [&] {
        const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        const int in = open("/dev/null", O_RDONLY);
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        execv(argv[0], argv.data());
        return 127;
      },
      netpolicy::testing::Inherited::kDropped);
}

absl::StatusOr<ProgramResult> RunProgram(
    const NetNamespace& ns, const std::vector<std::string>& arguments,
    absl::Duration limit) {
  NP_ASSIGN_OR_RETURN(auto scratch, netpolicy::testing::ScratchDir::Create());
  const std::string log = scratch.File("output");
  NP_ASSIGN_OR_RETURN(ChildProcess child, StartProgram(ns, arguments, log));
  auto code = child.Wait(limit);
  if (!code.ok()) {
    return absl::Status(
        code.status().code(),
        absl::StrCat(absl::StrJoin(arguments, " "), ": ",
                     code.status().message(), "\n", ReadFile(log)));
  }
  return ProgramResult{*code, ReadFile(log)};
}

absl::Status WriteFile(const std::string& path, absl::string_view content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  if (!file) return absl::UnavailableError(absl::StrCat("write ", path));
  return absl::OkStatus();
}

std::string ReadFile(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

}  // namespace netpolicy::clat::testing
