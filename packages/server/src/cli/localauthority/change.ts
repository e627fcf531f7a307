/** `localauthority x509|jwt|wit prepare|activate|taint|revoke`: moves a signing authority through its life by hand. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { Option, type Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import {
  AUTHORITY_CALLS,
  LOCAL_AUTHORITY,
  type AuthorityChange,
  type AuthorityKind,
} from './authority-calls.js';
import { authorityText } from './authority-text.js';

interface ChangeFlags extends ServerFlags, WaitFlag {
  readonly authorityId?: string;
  readonly output: OutputFormat;
}

const VERBS = {
  prepare: { messageVerb: 'Prepare', done: 'Prepared' },
  activate: { messageVerb: 'Activate', done: 'Activated' },
  taint: { messageVerb: 'Taint', done: 'Tainted' },
  revoke: { messageVerb: 'Revoke', done: 'Revoked' },
} as const satisfies Record<AuthorityChange, object>;

export function authorityChange(
  kind: AuthorityKind,
  change: AuthorityChange,
): (command: Command, host: CommandHost) => void {
  const calls = AUTHORITY_CALLS[kind];
  const { messageVerb, done } = VERBS[change];
  const isNamed = change !== 'prepare';
  const usage = `bonafide-server localauthority ${kind} ${change}`;
  return (command, host) => {
    if (isNamed) {
      const words = `ID of the ${calls.words} to ${change}, as show prints it`;
      command.addOption(new Option('--authority-id <id>', words));
    }
    addServerFlags(command.addOption(waitOption()).addOption(outputOption()));
    const example = isNamed ? `${usage} --authority-id ${EXAMPLE_IDS[kind]}` : usage;
    addExamples(command, [example]).action(async (flags: ChangeFlags) => {
      const { authorityId = '' } = flags;
      if (isNamed && authorityId === '') {
        throw invalidArgument(
          `an authority ID is required; add --authority-id with an ID as localauthority ${kind} show prints it`,
        );
      }
      await withServer(flags, host, async (server) => {
        const { message, authority } = await calls[change](server, authorityId);
        await printAndWait(server, host, flags, (delivery) => {
          printMessage(host, flags.output, {
            service: LOCAL_AUTHORITY,
            name: `spire.api.server.localauthority.v1.${messageVerb}${calls.messageName}Response`,
            message,
            delivery,
            pretty: () =>
              `${done} ${calls.words}:\n${authority === null ? '' : authorityText(kind, authority)}`,
          });
        });
      });
    });
  };
}

const EXAMPLE_IDS = {
  x509: '91a2edc3b5a0d9f8f6e1d6c0f8f4ab2bd2cbd0f1',
  jwt: 'pXKiJ0aJqVN0Yw6n5JcWmC0d3yQ2tZ8b',
  wit: 'Zk3v9QxRr5m1sT7u0Lw2cN4hB6yE8aJd',
} as const satisfies Record<AuthorityKind, string>;
