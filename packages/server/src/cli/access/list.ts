/** `access list`: the roles of teams, and for a member of one its own. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Role__Output } from '@bonafide/shared/rpc/gen/bonafide/access/v1/Role';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { counted } from '../printed-words.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface ListFlags extends ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'bonafide.access.v1.Access';
const LABEL_WIDTH = 16;

export function accessList(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(outputOption()));
  addExamples(command, ['bonafide-server access list']).action(async (flags: ListFlags) => {
    const response = await withServer(flags, host, (server) => server.call(SERVICE, 'listRoles', {}));
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'bonafide.access.v1.ListRolesResponse',
      message: response,
      pretty: () =>
        `Found ${counted(response.roles.length, 'role', 'roles')}\n${response.roles.map(roleText).join('')}`,
    });
  });
}

function roleText(role: Role__Output): string {
  const lines: readonly (readonly [string, string])[] = [
    ['Role', role.name],
    ['SPIFFE IDs under', role.spiffeIdPrefix],
    ['Verbs', role.verbs.join(', ')],
    ['Selectors', role.selectors.join(', ')],
    ['Parent IDs', role.parentIds.join(', ')],
    ['Federates with', role.federatesWith.join(', ')],
    ['DNS names', role.dnsNames.join(', ')],
    ['Longest TTL', role.ttl === 0 ? '' : `${role.ttl} s`],
    ['Stores SVIDs', role.storeSvid ? 'true' : ''],
    ['Members', role.members.join(', ')],
  ];
  const shown = lines.filter(([, value]) => value !== '');
  return `\n${shown.map(([label, value]) => `${label.padEnd(LABEL_WIDTH)} : ${value}\n`).join('')}`;
}
