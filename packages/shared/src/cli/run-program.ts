/** Runs one command line: finds the command, loads it, translates SPIRE's spellings, and turns whatever happens into an exit code. */
import { Command, CommanderError } from 'commander';
import { CommandExit } from './command-exit.js';
import { processHost, type CommandHost } from './command-host.js';
import { failureText } from './failure-text.js';
import { nearestName } from './nearest-name.js';
import { isGroup, resolveCommand, type ListedCommand, type Program } from './program.js';
import { refuseNamedPipes } from './spire-only-flags.js';
import { translateSpireFlags } from './spire-flags.js';

/** SPIRE's exit codes: everything that fails is 1, except a first word that names no command or group. */
const EXIT_OK = 0;
const EXIT_FAILURE = 1;
const EXIT_UNKNOWN_COMMAND = 127;

/** @param argv without the program itself. @returns the exit code; never throws. */
export async function runProgram(
  program: Program,
  argv: readonly string[],
  host: CommandHost = processHost(),
): Promise<number> {
  const resolution = resolveCommand(program, argv);
  switch (resolution.kind) {
    case 'command':
      return runCommand(program, resolution.command, resolution.rest, host);
    case 'version':
      host.stdout.write(`${program.version()}\n`);
      return EXIT_OK;
    case 'help':
      (resolution.asked ? host.stdout : host.stderr).write(groupHelp(program, resolution.group));
      if (resolution.asked) return EXIT_OK;
      return resolution.group === '' ? EXIT_UNKNOWN_COMMAND : EXIT_FAILURE;
    case 'unknown':
      host.stderr.write(unknownCommandText(program, resolution.words));
      return isGroup(program, argv[0]) ? EXIT_FAILURE : EXIT_UNKNOWN_COMMAND;
  }
}

async function runCommand(
  program: Program,
  listed: ListedCommand,
  argv: readonly string[],
  host: CommandHost,
): Promise<number> {
  try {
    const command = await loadCommand(program, listed, host);
    await command.parseAsync(translateSpireFlags(argv, valueFlagsOf(command)), { from: 'user' });
    return EXIT_OK;
  } catch (error) {
    // commander has already printed what it throws, and throws for --help too
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_FAILURE;
    if (error instanceof CommandExit) return error.code;
    host.stderr.write(`Error: ${failureText(error)}\n`);
    return EXIT_FAILURE;
  }
}

/** The command as it would run, also for tests that look at its help and flags. */
export async function loadCommand(
  program: Program,
  listed: ListedCommand,
  host: CommandHost,
): Promise<Command> {
  const setUp = await listed.load();
  const command = new Command(`${program.name} ${listed.path}`)
    .description(listed.summary)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => host.stdout.write(text),
      writeErr: (text) => host.stderr.write(text),
      outputError: (text, write) => {
        write(text.replace(/^error: /, 'Error: '));
      },
    })
    .showHelpAfterError(`Run '${program.name} ${listed.path} --help' to see its flags.`);
  setUp(command, host);
  refuseNamedPipes(command);
  return command;
}

function valueFlagsOf(command: Command): (gnuName: string) => boolean {
  const takingValue = command.options.filter((option) => option.required);
  const names = new Set(takingValue.map((option) => option.long?.slice(2)));
  return (gnuName) => names.has(gnuName);
}

function groupHelp(program: Program, group: string): string {
  const prefix = group === '' ? '' : `${group} `;
  const listed = program.commands.filter(({ path }) => path.startsWith(prefix));
  const width = Math.max(...listed.map(({ path }) => path.length));
  const lines = listed.map(({ path, summary }) => `  ${path.padEnd(width)}  ${summary}`);
  const heading = group === '' ? [program.summary, ''] : [];
  const examples =
    group === '' ? ['', 'Examples:', ...program.examples.map((example) => `  $ ${example}`)] : [];
  return [
    ...heading,
    `Usage: ${program.name} ${prefix}<command> [flags]`,
    '',
    'Commands:',
    ...lines,
    ...examples,
    '',
    `Run '${program.name} ${prefix}<command> --help' for a command's flags and examples.`,
    '',
  ].join('\n');
}

function unknownCommandText(program: Program, words: string): string {
  const meant = nearestName(
    words,
    program.commands.map(({ path }) => path),
  );
  const hint = meant === undefined ? `run '${program.name} --help' for the list` : `did you mean '${meant}'?`;
  return `Error: unknown command ${JSON.stringify(words)}; ${hint}\n`;
}
