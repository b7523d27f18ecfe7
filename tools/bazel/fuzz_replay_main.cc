// main() of a fuzz target in an ordinary build: feeds LLVMFuzzerTestOneInput
// each seed file, then mutations of them drawn from a fixed seed. It sees no
// coverage, so it is a regression test, not a search; the search is libFuzzer
// (bazel --config=fuzz).
//
// Understands these of libFuzzer's arguments, and refuses all others:
//   -runs=N  -max_len=BYTES  -seed=N  -seed_inputs=FILE,FILE,...  FILE...
// Given FILEs it runs just these, once. An input that ends the process by a
// signal is written to $TEST_UNDECLARED_OUTPUTS_DIR (or the working directory)
// as crash-input.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

// What the signal handler needs: only async-signal-safe calls touch them there.
const uint8_t* volatile current_data = nullptr;
volatile size_t current_size = 0;
char crash_path[4096];

// Nothing can be done about a short write here.
void Write(int fd, const void* data, size_t size) {
  if (write(fd, data, size) < 0) return;
}

void OnCrash(int signal) {
  const int fd =
      open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd >= 0) {
    Write(fd, current_data, current_size);
    close(fd);
    constexpr std::string_view kNote = "fuzz: the input is in ";
    Write(STDERR_FILENO, kNote.data(), kNote.size());
    Write(STDERR_FILENO, crash_path, strlen(crash_path));
    Write(STDERR_FILENO, "\n", 1);
  }
  // The handler was installed with SA_RESETHAND: this one is the default
  // action.
  raise(signal);
}

void InstallCrashHandler() {
  const char* dir = getenv("TEST_UNDECLARED_OUTPUTS_DIR");
  snprintf(crash_path, sizeof(crash_path), "%s/crash-input",
           dir != nullptr ? dir : ".");
  struct sigaction action = {};
  action.sa_handler = OnCrash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int signal : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP}) {
    sigaction(signal, &action, nullptr);
  }
}

void RunOne(const Bytes& input) {
  // A copy of exactly this size, so that a sanitizer sees the first byte past
  // the end.
  const Bytes exact(input.begin(), input.end());
  current_data = exact.data();
  current_size = exact.size();
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

class Mutator {
 public:
  Mutator(uint64_t seed, size_t max_len, const std::vector<Bytes>& seeds)
      : random_(seed), max_len_(max_len), seeds_(seeds) {}

  Bytes Next() {
    Bytes input = AnySeed();
    const size_t steps = 1 + Below(4);
    for (size_t i = 0; i < steps; ++i) Step(input);
    if (input.size() > max_len_) input.resize(max_len_);
    return input;
  }

 private:
  // Not std::uniform_int_distribution: its values differ between libraries.
  size_t Below(size_t limit) {
    return limit == 0 ? 0 : static_cast<size_t>(random_() % limit);
  }

  const Bytes& AnySeed() { return seeds_[Below(seeds_.size())]; }

  auto At(Bytes& input, size_t offset) {
    return input.begin() + static_cast<Bytes::difference_type>(offset);
  }

  void Step(Bytes& input) {
    static constexpr uint8_t kInteresting[] = {0,   1,    0x0a, 0x20, '"',
                                               '{', 0x7f, 0x80, 0xfe, 0xff};
    const size_t at = Below(input.size());
    const size_t room = input.size() - at;
    switch (Below(7)) {
      case 0:  // flip a bit
        if (!input.empty()) {
          input[at] = static_cast<uint8_t>(input[at] ^ (1u << Below(8)));
        }
        break;
      case 1:  // any byte
        if (!input.empty()) input[at] = static_cast<uint8_t>(Below(256));
        break;
      case 2:  // a run of one telling byte
        std::fill_n(At(input, at), std::min<size_t>(room, 1 + Below(4)),
                    kInteresting[Below(std::size(kInteresting))]);
        break;
      case 3:  // insert
        input.insert(At(input, at), 1 + Below(8),
                     static_cast<uint8_t>(Below(256)));
        break;
      case 4:  // erase
        input.erase(At(input, at),
                    At(input, at + std::min<size_t>(room, 1 + Below(8))));
        break;
      case 5:  // cut off
        input.resize(at);
        break;
      default: {  // the end of another seed
        const Bytes& other = AnySeed();
        const size_t from = Below(other.size());
        input.resize(at);
        input.insert(input.end(),
                     other.begin() + static_cast<Bytes::difference_type>(from),
                     other.end());
      }
    }
  }

  std::mt19937_64 random_;
  const size_t max_len_;
  const std::vector<Bytes>& seeds_;
};

bool ReadFile(const std::string& path, std::vector<Bytes>& files) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fprintf(stderr, "open %s: cannot read\n", path.c_str());
    return false;
  }
  files.emplace_back(std::istreambuf_iterator<char>(file),
                     std::istreambuf_iterator<char>());
  return true;
}

// Takes the value of "-name=value" if `argument` is this flag.
bool Flag(std::string_view argument, std::string_view name,
          std::string_view& value) {
  if (!argument.starts_with(name)) return false;
  value = argument.substr(name.size());
  return true;
}

bool ParseNumber(std::string_view text, uint64_t& number) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t runs = 0;
  uint64_t max_len = 4096;
  uint64_t seed = 1;
  std::vector<Bytes> seeds;
  std::vector<Bytes> files;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    std::string_view value;
    bool ok = true;
    if (Flag(argument, "-runs=", value)) {
      ok = ParseNumber(value, runs);
    } else if (Flag(argument, "-max_len=", value)) {
      ok = ParseNumber(value, max_len);
    } else if (Flag(argument, "-seed=", value)) {
      ok = ParseNumber(value, seed);
    } else if (Flag(argument, "-seed_inputs=", value)) {
      while (ok && !value.empty()) {
        const size_t comma = std::min(value.find(','), value.size());
        ok = ReadFile(std::string(value.substr(0, comma)), seeds);
        value.remove_prefix(std::min(comma + 1, value.size()));
      }
    } else {
      ok = !argument.starts_with('-') && ReadFile(argv[i], files);
    }
    if (!ok) {
      fprintf(stderr, "argument %s: not understood\n", argv[i]);
      return 2;
    }
  }

  InstallCrashHandler();
  if (!files.empty()) {
    for (const Bytes& file : files) RunOne(file);
    printf("fuzz: %zu files\n", files.size());
    return 0;
  }
  for (const Bytes& input : seeds) RunOne(input);
  const size_t seed_files = seeds.size();
  if (seeds.empty()) seeds.emplace_back();
  Mutator mutator(seed, max_len, seeds);
  for (uint64_t i = 0; i < runs; ++i) RunOne(mutator.Next());
  printf("fuzz: %zu seed files, %llu mutations\n", seed_files,
         static_cast<unsigned long long>(runs));
  return 0;
}
