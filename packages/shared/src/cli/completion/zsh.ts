/** Completion for zsh. */
import type { CompletedProgram } from './completed-program.js';
import { described, functionName, quoted } from './shell-text.js';

export function zshCompletion({ commands, name, nextWords }: CompletedProgram): string {
  const prefix = functionName(name);
  const words = [...nextWords].map(
    ([before, next]) =>
      `    ${quoted(before)}) next=(${[...next].map(([word, what]) => described(word, what)).join(' ')}) ;;`,
  );
  const flags = commands.map(
    ({ flags: of, path }) =>
      `    ${quoted(path)}) flags=(${of.map((flag) => described(flag.name, flag.description)).join(' ')}) ;;`,
  );
  const values = commands.flatMap(({ flags: of, path }) =>
    of.flatMap(({ name: flag, value }) => {
      const pattern = quoted(`${path} ${flag}`);
      if (value.kind === 'none') return [];
      const does = {
        choices: () => `compadd -- ${value.kind === 'choices' ? value.choices.map(quoted).join(' ') : ''}`,
        file: () => '_files',
        directory: () => '_files -/',
        text: () => ':',
      }[value.kind]();
      return [`    ${pattern}) ${does}; return ;;`];
    }),
  );
  return `#compdef ${name}
# Completion of ${name} for zsh: source <(${name} completion zsh), or a file _${name} in a folder of $fpath
${prefix}() {
  local at='' flag=$words[CURRENT-1] cur=$words[CURRENT]
  local -a next flags
  integer i
  for ((i = 2; i < CURRENT; i++)); do
    [[ $words[i] == -* ]] && break
    at+="\${at:+ }$words[i]"
  done
  if [[ $cur == --*=* ]]; then
    flag=\${cur%%=*}
    compset -P '*='
  fi
  case "$at $flag" in
${values.join('\n')}
  esac
  case "$at" in
${words.join('\n')}
  esac
  case "$at" in
${flags.join('\n')}
  esac
  flags+=('--help:tells more about the command')
  if (( i == CURRENT )) && [[ $cur != -* ]] && (( $#next )); then
    _describe -t commands command next
  else
    _describe -t flags flag flags -o
  fi
}
if [[ $funcstack[1] == _${name} ]]; then
  ${prefix} "$@"
else
  compdef ${prefix} ${name}
fi
`;
}
