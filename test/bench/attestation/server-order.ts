/** What the server process of the attestation benchmark is told: its configuration, and where the stand-ins of clouds are. */
import type { ConfigFile } from '@bonafide/testing/merge-config';

interface StandInOrder {
  readonly url: string;
  /** Of its attestor. */
  readonly config: object;
}

export interface CloudOrder {
  readonly aws?: StandInOrder & { readonly region: string };
  /** `issuer`: base64 of the certificate that the signer's points to. */
  readonly azure?: StandInOrder & { readonly issuer: string };
  readonly google?: { readonly keysUrl: string; readonly ca: string; readonly config: object };
}

export interface ServerOrder extends CloudOrder {
  readonly config: ConfigFile;
  /** The address of every name. */
  readonly resolveAll?: string;
}
