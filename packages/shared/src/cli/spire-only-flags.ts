/** Flags of SPIRE's commands that do nothing here: accepted in silence where nobody loses by it, refused with a way out otherwise. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { switchOption } from './option-values.js';

/** A switch that scripts may go on giving, for what it asks for changes nothing that matters. Not in the help. */
export function ignoredSwitch(flag: string): Option {
  return switchOption(flag, 'accepted for the sake of scripts').hideHelp();
}

/** A flag that cannot be meant here. Not in the help. @param advice what to do instead. */
function refusedOption(flags: string, advice: string): Option {
  return new Option(flags).hideHelp().argParser(() => {
    throw new InvalidArgumentError(advice);
  });
}

/** What every command of SPIRE has on Windows in the place of a socket. */
export function refuseNamedPipes(command: Command): void {
  if (!command.options.some(({ long }) => long === '--socket-path')) return;
  const advice = 'named pipes are of Windows, on which this does not run; use --socket-path';
  command.addOption(refusedOption('--named-pipe-name <name>', advice));
}
