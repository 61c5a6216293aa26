// What the tabs of this browser tell each other. Without a channel, each tab is on its own.

const channel = "BroadcastChannel" in window ? new BroadcastChannel("exports") : null;
const listeners = new Map();

channel?.addEventListener("message", ({ data }) => {
  listeners.get(data.kind)?.(data.value);
});

/** Tell all other tabs something. */
export function tell(kind, value) {
  channel?.postMessage({ kind, value });
}

/** Say what is to be done when another tab tells something of this kind. */
export function whenTold(kind, listener) {
  listeners.set(kind, listener);
}
