/** `localauthority x509|jwt|wit show`: which authority signs, which is next, which signed before. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { AUTHORITY_CALLS, LOCAL_AUTHORITY, type AuthorityKind } from './authority-calls.js';
import { authorityText } from './authority-text.js';

interface ShowFlags extends ServerFlags {
  readonly output: OutputFormat;
}

export function authorityShow(kind: AuthorityKind): (command: Command, host: CommandHost) => void {
  const { words, messageName, show } = AUTHORITY_CALLS[kind];
  return (command, host) => {
    addServerFlags(command.addOption(outputOption()));
    addExamples(command, [`bonafide-server localauthority ${kind} show`]).action(async (flags: ShowFlags) => {
      const states = await withServer(flags, host, show);
      printMessage(host, flags.output, {
        service: LOCAL_AUTHORITY,
        name: `spire.api.server.localauthority.v1.Get${messageName}StateResponse`,
        message: states,
        pretty: () =>
          (['active', 'prepared', 'old'] as const)
            .map((slot) => {
              const authority = states[slot];
              const text =
                authority === null ? `  No ${slot} ${words} found\n` : authorityText(kind, authority);
              return `${capitalized(slot)} ${words}:\n${text}`;
            })
            .join('\n'),
      });
    });
  };
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
