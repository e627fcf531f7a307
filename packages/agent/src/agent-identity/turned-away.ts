/** The last word of an agent that the server has turned away for good, with what an operator can do about it. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** @param attestingFailed why attesting again did not help, if that was tried. */
export function turnedAway(
  refusal: BonafideError,
  spiffeId: string,
  attestingFailed?: { readonly why: string },
): BonafideError {
  const text = refusalText(refusal, spiffeId);
  const message =
    attestingFailed === undefined ? text : `${text}; attesting again failed: ${attestingFailed.why}`;
  return new BonafideError(refusal.reason, message, { cause: refusal });
}

/** What goes to the log, in SPIRE's words. */
export function lastWords({ reason }: BonafideError): string {
  return reason === 'agent_banned'
    ? 'Agent is banned: removing SVID and shutting down'
    : 'Agent needs to re-attest: removing SVID and shutting down';
}

function refusalText({ reason, message }: BonafideError, spiffeId: string): string {
  if (reason === 'agent_banned') {
    return `${spiffeId} is banned; an operator can lift the ban with 'bonafide-server agent evict'`;
  }
  const advice = 'start the agent with new evidence, such as a new join token';
  if (reason === 'agent_expired') {
    return `the SVID of ${spiffeId} has expired and cannot be renewed (${message}); ${advice}`;
  }
  return `the server does not know ${spiffeId} as an attested agent (${message}); ${advice}`;
}
