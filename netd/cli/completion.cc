// SPDX-License-Identifier: Apache-2.0

#include "netd/cli/completion.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace netpolicy::cli {
namespace {

// Walks the words before the cursor down the tree of commands; _ndc_node says
// what each one offers and what its arguments are.
constexpr char kFunction[] = R"sh(
_ndc() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local path='' words='' kind='' options='' skip='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ $skip ]]; then skip=; continue; fi
    case ${COMP_WORDS[i]} in
      -*) [[ " $_ndc_valued " == *" ${COMP_WORDS[i]} "* ]] && skip=1 ;;
      *) _ndc_node "$path${path:+ }${COMP_WORDS[i]}" &&
           path+="${path:+ }${COMP_WORDS[i]}" ;;
    esac
  done
  _ndc_node "$path"
  [[ $word == -* ]] && words=$options kind=''
  case $previous in
    --socket|--pin-dir) kind=FILE words= ;;
    --iface) kind=IFACE words= ;;
    --uid) kind=UID words= ;;
    --dir) kind='' words='in out socket connect bind'
           [[ $path == 'quota set' ]] && words='in out both' ;;
    --period) kind='' words='none daily monthly hours:' ;;
    --metered) kind='' words='on off' ;;
    --protocol) kind='' words='tcp udp icmp icmpv6 sctp' ;;
    --by) kind='' words='uid iface' ;;
    --type) kind='' words='allowlist denylist' ;;
    --expect-generation) return ;;
  esac
  case $kind in
    FILE) compopt -o filenames 2>/dev/null
          COMPREPLY=($(compgen -f -- "$word")) ;;
    NAME*) words+=" $("${COMP_WORDS[0]}" chain list 2>/dev/null |
                      awk 'NR > 1 { print $2 }')" ;;
    IFACE|*_IFACE|IFACE_*) words+=" $(cd /sys/class/net 2>/dev/null && echo *)" ;;
    ACTION*) words+=' allow deny' ;;
    SUBJECT*) words+=' global uid: iface: limit alert' ;;
    *SWITCH) words+=' on off' ;;
  esac
  case $kind in
    *UID*) words+=" $(compgen -u)" ;;
  esac
  COMPREPLY+=($(compgen -W "$words" -- "$word"))
}
complete -F _ndc ndc
)sh";

enum class Which { kAll, kWithValue };

std::string LongOptions(const CLI::App& app, Which which) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    if (which == Which::kWithValue && option->get_items_expected_max() == 0) {
      continue;
    }
    for (const std::string& name : option->get_lnames()) {
      names.push_back(absl::StrCat("--", name));
    }
  }
  return absl::StrJoin(names, " ");
}

// One line of _ndc_node for `app`, which is reached by the words of `path`, and
// one for each command below it.
void AddNode(const CLI::App& app, const std::string& path,
             const std::string& inherited, std::string& out) {
  std::vector<std::string> words;
  std::vector<std::string> kinds;
  const std::vector<const CLI::App*> commands = app.get_subcommands({});
  for (const CLI::App* command : commands) {
    words.push_back(command->get_name());
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) kinds.push_back(option->get_name(true));
  }
  const std::string own = LongOptions(app, Which::kAll);
  // Every command has --help itself.
  const std::string options =
      absl::StrCat(own, inherited.empty() ? "" : " ",
                   absl::StrReplaceAll(inherited, {{"--help ", ""}}));
  absl::StrAppend(&out, "    '", path, "') words='", absl::StrJoin(words, " "),
                  "' kind='", absl::StrJoin(kinds, "_"), "' options='", options,
                  "' ;;\n");
  for (const CLI::App* command : commands) {
    const std::string& name = command->get_name();
    AddNode(*command, path.empty() ? name : absl::StrCat(path, " ", name),
            path.empty() ? own : inherited, out);
  }
}

void AddValued(const CLI::App& app, std::string& out) {
  const std::string names = LongOptions(app, Which::kWithValue);
  if (!names.empty()) absl::StrAppend(&out, " ", names);
  for (const CLI::App* command : app.get_subcommands({})) {
    AddValued(*command, out);
  }
}

}  // namespace

std::string BashCompletion(const CLI::App& app) {
  std::string nodes;
  AddNode(app, "", "", nodes);
  std::string valued;
  AddValued(app, valued);
  return absl::StrCat("# bash completion for ndc, from ndc completion bash\n",
                      "_ndc_valued='", valued, "'\n",
                      "_ndc_node() {\n  case $1 in\n", nodes,
                      "    *) return 1 ;;\n  esac\n}\n", kFunction);
}

}  // namespace netpolicy::cli
