/** One thing that happened, as the rooms tell the audit log of it. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { CallerKind } from '../access/caller.js';
import type { NodeFinding } from '../store/node-record.js';
import type { AuditEventName } from './audit-events.js';

export type AuditResult = 'success' | 'denied' | 'failure';

export interface AuditActor {
  /** `unknown`: a caller that the gate refused before it knew who it is. */
  readonly kind: CallerKind | 'server' | 'webhook' | 'unknown';
  readonly spiffeId?: SpiffeId | undefined;
  readonly uid?: number | undefined;
  readonly pid?: number | undefined;
  /** Of the connection, for callers from the network. */
  readonly address?: string | undefined;
}

/** What it was done to; everything in here is public. */
export interface AuditSubject {
  readonly spiffeId?: string | undefined;
  readonly entryId?: string | undefined;
  readonly agentId?: string | undefined;
  readonly trustDomain?: string | undefined;
  readonly authorityId?: string | undefined;
  readonly ekHash?: string | undefined;
  /** SHA-256 of a join token, in hexadecimal; never the token. */
  readonly tokenHash?: string | undefined;
}

export interface AuditedSvid {
  readonly type: 'x509' | 'jwt' | 'wit';
  /** Of a certificate, in decimal digits or as it is logged elsewhere. */
  readonly serialNumber?: string | undefined;
  /** Of a token that has one. */
  readonly jti?: string | undefined;
  readonly expiresAt: Date;
}

export interface AuditEvent {
  readonly event: AuditEventName;
  readonly result: AuditResult;
  readonly actor: AuditActor;
  /** The RPC by which it was asked for. */
  readonly method?: string | undefined;
  readonly requestId?: string | undefined;
  /** That the change was committed under. */
  readonly revision?: number | undefined;
  readonly subject?: AuditSubject | undefined;
  readonly svid?: AuditedSvid | undefined;
  readonly attestationType?: string | undefined;
  readonly findings?: readonly NodeFinding[] | undefined;
  /** In words: why it was refused or failed, or what an operator gave as the reason. */
  readonly reason?: string | undefined;
  /** What else is worth knowing, by name; never a secret. */
  readonly details?: Readonly<Record<string, AuditDetail>> | undefined;
}

export type AuditDetail = string | number | boolean | readonly string[];
