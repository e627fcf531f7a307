/** One identity in one folder: which files it is written to, for whom, and who is to be told. */
import type { Command } from './run-command.js';

export interface HelperEntry {
  readonly directory: string;
  /** Undefined: no X.509-SVID is written. */
  readonly x509: X509FileNames | undefined;
  readonly jwtSvids: readonly JwtSvidFile[];
  readonly jwtBundleFileName: string | undefined;
  readonly modes: {
    readonly certificate: number;
    readonly key: number;
    readonly jwtBundle: number;
    readonly jwtSvid: number;
  };
  /** Names or numbers; undefined: as this process creates files. */
  readonly owner: string | undefined;
  readonly group: string | undefined;
  readonly addsIntermediatesToBundle: boolean;
  readonly includesFederatedDomains: boolean;
  readonly omitsExpired: boolean;
  readonly choice: IdentityChoice;
  readonly onChange: OnChange;
}

interface X509FileNames {
  readonly certificate: string;
  readonly key: string;
  readonly bundle: string;
}

export interface JwtSvidFile {
  readonly fileName: string;
  readonly audiences: readonly string[];
}

/** Of several identities the first that fits. */
export interface IdentityChoice {
  readonly spiffeId: string | undefined;
  readonly hint: string | undefined;
}

export interface OnChange {
  readonly signals: readonly PidFileSignal[];
  readonly commands: readonly Command[];
}

export interface PidFileSignal {
  readonly pidFile: string;
  readonly signalNumber: number;
}

/** In words, for messages. */
export function choiceText({ spiffeId, hint }: IdentityChoice): string {
  const parts = [
    spiffeId === undefined ? [] : [`SPIFFE ID ${spiffeId}`],
    hint === undefined ? [] : [`hint ${JSON.stringify(hint)}`],
  ].flat();
  return parts.length === 0 ? 'an identity' : `an identity with ${parts.join(' and ')}`;
}

export function pickIdentity<
  Identity extends { readonly spiffeId: string; readonly hint: string | undefined },
>(identities: readonly Identity[], { spiffeId, hint }: IdentityChoice): Identity | undefined {
  return identities.find(
    (identity) =>
      (spiffeId === undefined || identity.spiffeId === spiffeId) &&
      (hint === undefined || identity.hint === hint),
  );
}
