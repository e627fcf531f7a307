/** Completion for fish. */
import type { CompletedFlag, CompletedProgram } from './completed-program.js';
import { functionName, quotedForFish as quoted } from './shell-text.js';

export function fishCompletion({ commands, name, nextWords }: CompletedProgram): string {
  const at = `_${functionName(name)}_at`;
  const words = [...nextWords].flatMap(([before, next]) =>
    [...next].map(
      ([word, what]) =>
        `complete -c ${name} -n ${quoted(`${at} ${quoted(before)}`)} -a ${word} -d ${quoted(what)}`,
    ),
  );
  const flags = commands.flatMap(({ flags: of, path }) =>
    of.map(
      (flag) =>
        `complete -c ${name} -n ${quoted(`${at} ${quoted(path)}`)} -l ${flag.name.slice(2)}${valueText(flag)} -d ${quoted(flag.description)}`,
    ),
  );
  return `# Completion of ${name} for fish: ${name} completion fish | source
function ${at} --argument-names path
  set -l words (commandline -opc)
  set -l leading
  for word in $words[2..]
    string match -q -- '-*' $word; and break
    set -a leading $word
  end
  test "$leading" = "$path"
end
complete -c ${name} -f
${[...words, ...flags].join('\n')}
`;
}

function valueText({ value }: CompletedFlag): string {
  switch (value.kind) {
    case 'none':
      return '';
    case 'text':
      return ' -x';
    case 'file':
      return ' -r -F';
    case 'directory':
      return " -x -a '(__fish_complete_directories)'";
    case 'choices':
      return ` -x -a ${quoted(value.choices.join(' '))}`;
  }
}
