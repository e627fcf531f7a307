/** The process on the other end of a connection, held so that its facts stay its own (facts are read through a held descriptor). */

export interface AttestedProcess {
  readonly pid: number;
  /** The effective user and group with which it connected. */
  readonly uid: number;
  readonly gid: number;
  /** A path below which `/proc/<pid>` of exactly this process is seen, for example `/proc/self/fd/27`; valid until it is closed. */
  readonly procPath: string;
  /** False once the process has exited, also after `close()`; to be asked after facts were read and before they are believed. */
  isAlive(): boolean;
}

/** An attested process that somebody must let go of, once no read through `procPath` can still be under way. */
export interface HeldProcess extends AttestedProcess {
  close(): void;
}
