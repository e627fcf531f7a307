/** Writing to a stream at the reader's pace: who awaits each write never holds more than one message for a slow reader. */
import { BonafideError } from '../errors/bonafide-error.js';

/** Both ends' streams have this. */
interface MessageWriter<Message> {
  write(message: Message, callback: (error?: Error | null) => void): boolean;
}

/**
 * Resolves once the message has left for the network.
 * @param signal fires when the call is over; gRPC then never calls back.
 * @throws BonafideError `cancelled` when the call is over.
 */
export function writeMessage<Message>(
  stream: MessageWriter<Message>,
  message: Message,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onEnd = (cause?: unknown): void => {
      signal.removeEventListener('abort', onEnd);
      reject(new BonafideError('cancelled', 'the call is over', { cause }));
    };
    if (signal.aborted) {
      onEnd();
      return;
    }
    signal.addEventListener('abort', onEnd, { once: true });
    stream.write(message, (error) => {
      if (error !== undefined && error !== null) {
        onEnd(error);
        return;
      }
      signal.removeEventListener('abort', onEnd);
      resolve();
    });
  });
}
