/** Records of the audit log in the database: the lines as they are, and what they are looked up by. */

export interface AuditEventRow {
  readonly serverId: string;
  readonly seq: number;
  readonly at: Date;
  readonly event: string;
  readonly result: string;
  /** The whole record, as a file has it. */
  readonly line: string;
}

export interface AuditEventQuery {
  readonly serverId?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
}

/** Outside of the transactions that take revisions: what is told of must not wait for the next one. */
export interface AuditEventRecords {
  /** All or none; each is durable when it resolves. */
  append(rows: readonly AuditEventRow[]): Promise<void>;
  /** Of the server with that id. */
  last(serverId: string): Promise<AuditEventRow | undefined>;
  /** In the order of server and sequence, after that place. */
  page(
    query: AuditEventQuery,
    after: { readonly serverId: string; readonly seq: number } | undefined,
    limit: number,
  ): Promise<readonly AuditEventRow[]>;
  /** Of this server, what is older; the last ones stay. @returns how many are gone. */
  prune(serverId: string, before: Date): Promise<number>;
}
