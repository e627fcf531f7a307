/** Has a running program read its configuration again when the operator asks, and the service manager know of it. */
import type { CommandHost } from '../cli/command-host.js';
import type { ServiceNotice } from '../runtime/service-notice.js';
import type { LiveConfig } from './live-config.js';

/** To be called before the program starts: until it is ready a request only waits. */
export function reloadOnRequest<C>(
  live: LiveConfig<C>,
  host: Pick<CommandHost, 'onReloadRequest'>,
  notice: Pick<ServiceNotice, 'ready' | 'reloading'>,
): void {
  host.onReloadRequest?.(() => {
    notice.reloading();
    void live.reload().then(() => {
      notice.ready();
    });
  });
}
