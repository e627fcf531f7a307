/** `upstreamauthority taint|revoke`: withdraws a root that signed authorities of this server. */
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

interface WithdrawFlags extends ServerFlags, WaitFlag {
  readonly subjectKeyId?: string;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.localauthority.v1.LocalAuthority';

const VERBS = {
  taint: { method: 'taintX509UpstreamAuthority', messageVerb: 'Taint', done: 'Tainted' },
  revoke: { method: 'revokeX509UpstreamAuthority', messageVerb: 'Revoke', done: 'Revoked' },
} as const;

export function upstreamWithdraw(change: keyof typeof VERBS): (command: Command, host: CommandHost) => void {
  const { method, messageVerb, done } = VERBS[change];
  return (command, host) => {
    const words = `subject key identifier of the root to ${change}, as localauthority x509 show prints it`;
    command.addOption(new Option('--subject-key-id <hex>', words));
    addServerFlags(command.addOption(waitOption()).addOption(outputOption()));
    addExamples(command, [
      `bonafide-server upstreamauthority ${change} --subject-key-id 0f2c9d1be4a7c35d86e2f1a90b7c4d5e6f708192`,
    ]).action(async (flags: WithdrawFlags) => {
      const { subjectKeyId = '' } = flags;
      if (subjectKeyId === '') {
        throw invalidArgument(
          'the Subject Key ID of the X.509 upstream authority is required; add --subject-key-id',
        );
      }
      await withServer(flags, host, async (server) => {
        const message = await server.call(SERVICE, method, { subjectKeyId });
        await printAndWait(server, host, flags, (delivery) => {
          printMessage(host, flags.output, {
            service: SERVICE,
            name: `spire.api.server.localauthority.v1.${messageVerb}X509UpstreamAuthorityResponse`,
            message,
            delivery,
            pretty: () =>
              `${done} X.509 upstream authority:\n  Subject Key ID: ${message.upstreamAuthoritySubjectKeyId}\n`,
          });
        });
      });
    });
  };
}
