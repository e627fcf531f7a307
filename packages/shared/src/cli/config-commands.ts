/** `config convert` and `config schema`, which every program has for its own configuration. */
import { open } from 'node:fs/promises';
import type { Command } from 'commander';
import type { z } from 'zod';
import { BonafideError, errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import type { SpireTranslation } from '../config/spire/spire-rules.js';
import type { CommandHost } from './command-host.js';
import { addExamples, switchOption } from './option-values.js';
import type { ListedCommand } from './program.js';

type ConfigKind = 'server' | 'agent' | 'oidc';

export interface ConfigCommandParts {
  readonly kind: ConfigKind;
  readonly load: () => Promise<{ readonly schema: z.ZodType; readonly translation: SpireTranslation }>;
}

interface ConvertFlags {
  readonly from: string;
  readonly output?: string;
  readonly expandEnv?: boolean;
}

const TITLES: Readonly<Record<ConfigKind, string>> = {
  server: 'Configuration of bonafide-server',
  agent: 'Configuration of bonafide-agent',
  oidc: 'Configuration of bonafide-oidc',
};

export function configCommands(parts: ConfigCommandParts): readonly ListedCommand[] {
  return [
    {
      path: 'config convert',
      summary: "Writes a configuration file of SPIRE's as YAML that means the same",
      load: () =>
        Promise.resolve((command, host) => {
          convertCommand(command, host, parts);
        }),
    },
    {
      path: 'config schema',
      summary: 'Prints the JSON Schema of the configuration file',
      load: () =>
        Promise.resolve((command, host) => {
          schemaCommand(command, host, parts);
        }),
    },
  ];
}

function convertCommand(command: Command, host: CommandHost, { kind, load }: ConfigCommandParts): void {
  const name = kind === 'oidc' ? 'oidc-discovery-provider' : kind;
  command
    .requiredOption('--from <file>', "SPIRE's file, in HCL or JSON")
    .option('--output <file>', 'a new file to write to; standard output unless given')
    .addOption(
      switchOption(
        '--expand-env',
        'replaces $NAME and ${NAME} first; otherwise they stay, to be expanded at the start',
      ),
    );
  addExamples(command, [
    `bonafide-${kind} config convert --from ${name}.conf`,
    `bonafide-${kind} config convert --from ${name}.conf --output ${name}.yaml`,
  ]).action(async (flags: ConvertFlags) => {
    const [{ readConfigFile }, { convertConfig }, { expandEnvironment }, { schema, translation }] =
      await Promise.all([
        import('../config/read-config-file.js'),
        import('../config/convert-config.js'),
        import('../config/expand-environment.js'),
        load(),
      ]);
    const text = await readConfigFile(flags.from);
    const source = flags.expandEnv === true ? expandEnvironment(text, host.environment).text : text;
    refuseOtherKinds(flags.from, source, kind);
    const { yaml, ignored } = await convertConfig(flags.from, source, schema, translation);
    if (flags.output === undefined) host.stdout.write(yaml);
    else await writeNew(flags.output, yaml);
    if (ignored.length > 0) {
      host.stderr.write(`Warning: left out, for it has no meaning here: ${ignored.join('; ')}\n`);
    }
  });
}

function schemaCommand(command: Command, host: CommandHost, { kind, load }: ConfigCommandParts): void {
  command.argument('[kind]', `${kind}, which it is anyway`);
  addExamples(command, [`bonafide-${kind} config schema`]).action(async (asked?: string) => {
    if (asked !== undefined && asked !== kind) {
      const other = Object.hasOwn(TITLES, asked) ? `; run 'bonafide-${asked} config schema'` : '';
      throw invalidArgument(`this program has the schema of ${kind} only${other}`);
    }
    const [{ jsonSchemaText }, { schema }] = await Promise.all([
      import('../config/config-schema.js'),
      load(),
    ]);
    host.stdout.write(jsonSchemaText(schema, TITLES[kind]));
  });
}

/** By the group that only one of the programs has. */
function refuseOtherKinds(file: string, source: string, kind: ConfigKind): void {
  for (const other of ['server', 'agent'] as const) {
    const isIts = new RegExp(`^\\s*"?${other}"?\\s*[:={]`, 'm').test(source);
    const isOwn = kind !== 'oidc' && new RegExp(`^\\s*"?${kind}"?\\s*[:={]`, 'm').test(source);
    if (other === kind || !isIts || isOwn) continue;
    throw invalidArgument(
      `${file} configures ${other === 'agent' ? 'an agent' : 'a server'}; run 'bonafide-${other} config convert --from ${file}'`,
    );
  }
}

/** Never over a file that is there. It may hold what the other held: passwords too. */
async function writeNew(path: string, text: string): Promise<void> {
  try {
    await using file = await open(path, 'wx', 0o640);
    await file.writeFile(text);
  } catch (error) {
    const why =
      (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'it is there already' : errorMessage(error);
    throw new BonafideError(
      'failed_precondition',
      `cannot write ${path}: ${why}; expected the name of a new file`,
      {
        cause: error,
      },
    );
  }
}
