/** Where a proof may be sent: tokens and proofs need a channel that nobody reads (WIT-SVID section 7.3). */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';

export interface TransportOptions {
  /** Allows `http:`, where something else keeps the channel secret, such as a service mesh or the loopback interface. */
  readonly allowPlaintext?: boolean | undefined;
}

/** @throws BonafideError `invalid_argument` for another protocol than `https:`. */
export function checkTransport(protocol: string, { allowPlaintext = false }: TransportOptions): void {
  if (protocol === 'https:' || (allowPlaintext && protocol === 'http:')) return;
  throw invalidArgument(
    `a WIT-SVID is not sent by ${protocol} in the clear; use https:, or set allowPlaintext where the channel is secure otherwise`,
  );
}
