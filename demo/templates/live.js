// Live values by server-sent events, and one round trip over the WebSocket. The page works without this.
const note = document.getElementById("live");
const events = new EventSource("/events");
events.onmessage = (event) => {
  for (const device of JSON.parse(event.data)) {
    const card = document.querySelector(`[data-device="${device.id}"]`);
    if (!card) continue;
    for (const field of card.querySelectorAll("[data-field]")) field.textContent = device[field.dataset.field];
  }
  note.textContent = "live";
};
events.onerror = () => { note.textContent = "reconnecting"; };

const socket = document.getElementById("socket");
const ws = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
ws.onopen = () => ws.send("hello");
ws.onmessage = (event) => { if (event.data === "hello") socket.textContent = "connected, and it echoes"; };
ws.onclose = () => { socket.textContent = "closed"; };
