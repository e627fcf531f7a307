/** Completion for bash, without the package bash-completion. */
import type { CompletedProgram } from './completed-program.js';
import { functionName, quoted } from './shell-text.js';

export function bashCompletion({ commands, name, nextWords }: CompletedProgram): string {
  const prefix = functionName(name);
  const words = [...nextWords].map(
    ([before, next]) => `    ${quoted(before)}) words=${quoted([...next.keys()].join(' '))} ;;`,
  );
  const flags = commands.map(
    ({ flags: of, path }) => `    ${quoted(path)}) flags=${quoted(of.map((flag) => flag.name).join(' '))} ;;`,
  );
  const values = commands.flatMap(({ flags: of, path }) =>
    of.flatMap(({ name: flag, value }) => {
      const pattern = quoted(`${path} ${flag}`);
      if (value.kind === 'none') return [];
      if (value.kind === 'choices')
        return [`    ${pattern}) kind=words words=${quoted(value.choices.join(' '))} ;;`];
      return [`    ${pattern}) kind=${value.kind} ;;`];
    }),
  );
  return `# Completion of ${name} for bash: source <(${name} completion bash)
${prefix}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} flag=\${COMP_WORDS[COMP_CWORD-1]} path='' words='' flags='' kind='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ \${COMP_WORDS[i]} == -* ]] && break
    path+="\${path:+ }\${COMP_WORDS[i]}"
  done
  # bash takes --flag=value for three words.
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $flag == = ]]; then
    flag=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  COMPREPLY=()
  case "$path $flag" in
${values.join('\n')}
  esac
  local IFS=$' \\t\\n'
  case $kind in
    words) COMPREPLY=($(compgen -W "$words" -- "$cur")); return ;;
    text) return ;;
    file | directory)
      local IFS=$'\\n'
      if [[ $kind == file ]]; then COMPREPLY=($(compgen -f -- "$cur")); else COMPREPLY=($(compgen -d -- "$cur")); fi
      compopt -o filenames 2>/dev/null
      return
      ;;
  esac
  case "$path" in
${words.join('\n')}
  esac
  case "$path" in
${flags.join('\n')}
  esac
  if [[ $i -eq $COMP_CWORD && $cur != -* && -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$flags --help" -- "$cur"))
  fi
}
complete -F ${prefix} ${name}
`;
}
