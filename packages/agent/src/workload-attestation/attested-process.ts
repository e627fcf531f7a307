/** The process on the other end of a connection, held so that its facts stay its own (facts are read through a held descriptor). */

export interface AttestedProcess {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** A path below which `/proc/<pid>` of exactly this process is seen, for example `/proc/self/fd/27`; valid until it is closed. */
  readonly procPath: string;
  /** False once the process has exited; to be asked after facts were read and before they are believed. */
  isAlive(): boolean;
}
