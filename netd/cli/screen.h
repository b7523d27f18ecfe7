// SPDX-License-Identifier: Apache-2.0
#ifndef NETPOLICY_NETD_CLI_SCREEN_H_
#define NETPOLICY_NETD_CLI_SCREEN_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

// The terminal that standard output is.

namespace netpolicy::cli {

struct TerminalSize {
  int rows = 24;
  int columns = 80;
};

// Unset: standard output is no terminal. A terminal that does not know its size
// has the size of old.
absl::optional<TerminalSize> SizeOfTerminal();

// A terminal as a page that is drawn again and again. What was on it before
// comes back at the end, also when a signal ends the program.
class Screen {
 public:
  virtual ~Screen() = default;

  // As of now; somebody may resize a window.
  virtual TerminalSize size() const = 0;

  // Draws a page of whole lines, not more than there are rows; what is too
  // wide is cut off. False: the terminal is gone.
  virtual bool Show(absl::string_view page) = 0;

  // Waits. False: it is time to end, as somebody typed q or ^C, or a signal
  // came (SIGINT, SIGTERM, SIGHUP, which do nothing else meanwhile).
  virtual bool Wait(absl::Duration time) = 0;
};

// Takes over the terminal of standard output, and of standard input if that is
// one, too, in the thread that calls. nullptr: there is none, or TERM says
// that it can't move its cursor. There is one at a time.
std::unique_ptr<Screen> OpenScreen();

}  // namespace netpolicy::cli

#endif  // NETPOLICY_NETD_CLI_SCREEN_H_
