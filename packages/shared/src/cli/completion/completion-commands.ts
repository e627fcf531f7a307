/** `completion bash|zsh|fish`: prints what makes a shell complete the command lines of a program. */
import type { CommandHost } from '../command-host.js';
import { addExamples } from '../option-values.js';
import type { ListedCommand, Program } from '../program.js';
import { bashCompletion } from './bash.js';
import { completedProgram } from './completed-program.js';
import { fishCompletion } from './fish.js';
import { zshCompletion } from './zsh.js';

const SHELLS = {
  bash: { print: bashCompletion, file: (name: string) => `/etc/bash_completion.d/${name}` },
  zsh: { print: zshCompletion, file: (name: string) => `/usr/local/share/zsh/site-functions/_${name}` },
  fish: { print: fishCompletion, file: (name: string) => `~/.config/fish/completions/${name}.fish` },
} as const;

/** @param program that they are of, once it is made: these commands are among its own. */
export function completionCommands(program: () => Program): readonly ListedCommand[] {
  return Object.entries(SHELLS).map(([shell, { file, print }]) => ({
    path: `completion ${shell}`,
    summary: `Prints the completion of command lines for ${shell}`,
    load: () =>
      Promise.resolve((command, host: CommandHost) => {
        const { name } = program();
        addExamples(command, [`${name} completion ${shell} > ${file(name)}`]).action(async () => {
          host.stdout.write(print(await completedProgram(program(), host)));
        });
      }),
  }));
}
