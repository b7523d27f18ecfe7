// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/screen.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "libpolicy/base/unique_fd.h"
#include "netd/cli/files.h"

namespace netpolicy::cli {
namespace {

// ECMA-48 and what every terminal that is in use adds to it (xterm's control
// sequences): the alternate screen, no cursor, no wrapping of long lines.
constexpr char kBegin[] = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr char kEnd[] = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr char kHome[] = "\x1b[H";
constexpr char kEndOfLine[] = "\x1b[K\n";  // clears what is left of it
constexpr char kClearBelow[] = "\x1b[J";

class TerminalScreen : public Screen {
 public:
  TerminalScreen() {
    sigset_t ending;
    sigemptyset(&ending);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      sigaddset(&ending, signal);
    }
    pthread_sigmask(SIG_BLOCK, &ending, &signals_before_);
    signals_.reset(signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
    if (tcgetattr(STDIN_FILENO, &input_before_) == 0 &&
        tcgetpgrp(STDIN_FILENO) == getpgrp()) {
      // Each key at once and unseen. Nobody stops a program whose screen would
      // be left behind.
      termios keys = input_before_;
      keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      keys.c_cc[VMIN] = 1;
      keys.c_cc[VTIME] = 0;
      keys.c_cc[VSUSP] = _POSIX_VDISABLE;
      reads_keys_ = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
    }
    WriteAll(STDOUT_FILENO, kBegin);
  }

  ~TerminalScreen() override {
    WriteAll(STDOUT_FILENO, kEnd);
    if (reads_keys_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &input_before_);
    // Whoever is killed twice means it: what came once has been obeyed.
    signalfd_siginfo seen;
    while (read(signals_.get(), &seen, sizeof(seen)) > 0) continue;
    pthread_sigmask(SIG_SETMASK, &signals_before_, nullptr);
  }

  TerminalSize size() const override {
    return SizeOfTerminal().value_or(TerminalSize());
  }

  bool Show(absl::string_view page) override {
    while (!page.empty() && page.back() == '\n') page.remove_suffix(1);
    // No newline behind the last line: it would scroll a full page.
    return WriteAll(
        STDOUT_FILENO,
        absl::StrCat(kHome, absl::StrReplaceAll(page, {{"\n", kEndOfLine}}),
                     "\x1b[K", kClearBelow));
  }

  bool Wait(absl::Duration time) override {
    const absl::Time end = absl::Now() + time;
    for (;;) {
      const absl::Duration left =
          std::max(absl::ZeroDuration(), end - absl::Now());
      pollfd polled[] = {{signals_.get(), POLLIN, 0},
                         {reads_keys_ ? STDIN_FILENO : -1, POLLIN, 0}};
      const int ready =
          poll(polled, 2,
               static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(
                   std::min(left, absl::Hours(1)), absl::Milliseconds(1)))));
      if (ready < 0 && errno != EINTR) return false;
      if (polled[0].revents != 0) return false;
      if (ready > 0 && polled[1].revents != 0 && !KeepsOn()) return false;
      if (ready == 0 && left <= absl::Hours(1)) return true;
    }
  }

 private:
  // False: a key to end was typed, or nobody can type any more.
  static bool KeepsOn() {
    char keys[64];
    const ssize_t got = read(STDIN_FILENO, keys, sizeof(keys));
    if (got <= 0) return got < 0 && errno == EINTR;
    return std::none_of(keys, keys + got, [](char key) {
      return key == 'q' || key == 'Q' || key == '\x03' || key == '\x04';
    });
  }

  UniqueFd signals_;
  sigset_t signals_before_{};
  termios input_before_{};
  bool reads_keys_ = false;
};

}  // namespace

absl::optional<TerminalSize> SizeOfTerminal() {
  if (isatty(STDOUT_FILENO) != 1) return absl::nullopt;
  winsize size = {};
  TerminalSize known;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    if (size.ws_row > 0) known.rows = size.ws_row;
    if (size.ws_col > 0) known.columns = size.ws_col;
  }
  return known;
}

std::unique_ptr<Screen> OpenScreen() {
  const char* const term = std::getenv("TERM");
  if (term == nullptr || std::strcmp(term, "dumb") == 0 ||
      !SizeOfTerminal().has_value()) {
    return nullptr;
  }
  return std::make_unique<TerminalScreen>();
}

}  // namespace netpolicy::cli
