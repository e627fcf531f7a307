/** What a process on this machine holds: descriptors, and memory. */
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Without the connections of this very process, a socket and a pidfd each: gRPC keeps those of a closed client open for a while.
 */
export function openDescriptors(pid: number): number {
  const all = readdirSync(`/proc/${pid}/fd`);
  return all.length - 2 * all.filter((fd) => isPidfdOf(process.pid, `/proc/${pid}/fdinfo/${fd}`)).length;
}

function isPidfdOf(pid: number, fdinfo: string): boolean {
  try {
    return new RegExp(`^Pid:\\s*${pid}$`, 'm').test(readFileSync(fdinfo, 'utf8'));
  } catch {
    return false; // closed since it was listed
  }
}

export function residentMegabytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1000;
}
