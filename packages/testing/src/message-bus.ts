/** A message bus of a test's own: a real dbus-daemon that lets everybody say everything. */
import { existsSync, writeFileSync } from 'node:fs';
import { LaunchedProcess } from './launched-process.js';

export function hasMessageBus(): boolean {
  return existsSync('/usr/bin/dbus-daemon');
}

/** @param socketPath where it is to listen; its configuration goes beside it. */
export async function startMessageBus(socketPath: string): Promise<LaunchedProcess> {
  const configPath = `${socketPath}.conf`;
  writeFileSync(
    configPath,
    `<busconfig><listen>unix:path=${socketPath}</listen><auth>EXTERNAL</auth>
     <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy></busconfig>`,
  );
  return await LaunchedProcess.launch({
    name: 'dbus-daemon',
    command: 'dbus-daemon',
    args: [`--config-file=${configPath}`, '--nofork'],
    isReady: () => existsSync(socketPath),
  });
}
