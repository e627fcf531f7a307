/** Join tokens as the store keeps them: by the SHA-256 of the token, so that a stolen database attests nobody. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export interface JoinToken {
  readonly token: string;
  readonly expiresAt: Date;
  /** The alias under which the agent's entries may hang; undefined when none was asked for. */
  readonly aliasId: SpiffeId | undefined;
}

export interface JoinTokenWriter {
  /** @throws BonafideError `already_exists`. */
  create(token: JoinToken): Promise<void>;
  has(token: string): Promise<boolean>;
  /** Removes the token and returns it, expired or not; undefined when there is none. A second call finds nothing, whatever races. */
  spend(token: string): Promise<JoinToken | undefined>;
  /** @returns how many were removed. */
  deleteExpired(now: Date): Promise<number>;
}
