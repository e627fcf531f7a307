/** `@bonafide/sdk/undici`: what needs undici to be installed, and so is not in the main entry. */
export { createFetchDispatcher, type FetchDispatcherOptions } from './undici/fetch-dispatcher.js';
