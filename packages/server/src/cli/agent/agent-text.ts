/** An attested agent as the lines that SPIRE prints. */
import type { Agent__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Agent';
import { printedId, printedTime } from '../printed-words.js';

const LABEL_WIDTH = 18;

/** Ends with an empty line. @param more lines of our own, after those of SPIRE. */
export function agentText(agent: Agent__Output, more = ''): string {
  return `${[
    labelled('SPIFFE ID', printedId(agent.id)),
    labelled('Attestation type', agent.attestationType),
    labelled('Expiration time', printedTime(agent.x509svidExpiresAt)),
    // A banned agent has no serial number.
    agent.banned ? labelled('Banned', 'true') : labelled('Serial number', agent.x509svidSerialNumber),
    labelled('Can re-attest', String(agent.canReattest)),
    agent.agentVersion === '' ? '' : labelled('Agent version', agent.agentVersion),
    more,
  ].join('')}\n`;
}

export function labelled(label: string, value: string): string {
  return `${label.padEnd(LABEL_WIDTH)}: ${value}\n`;
}
