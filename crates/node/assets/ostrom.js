// What pages cannot do without a script: passkeys. Everything else works without this file.
"use strict";

(() => {
  const place = document.querySelector("[data-passkey]");
  if (!place) return;
  const note = place.querySelector(".passkey-note");
  const say = (text) => {
    if (note) note.textContent = text;
  };
  if (!window.PublicKeyCredential) {
    say("This browser has no passkeys. Use your password.");
    return;
  }
  const csrf = place.querySelector('input[name="csrf"]').value;

  const bytes = (text) => {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, (c) => c.charCodeAt(0));
  };
  const text = (buffer) => {
    const plain = String.fromCharCode(...new Uint8Array(buffer));
    return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };
  const post = async (path, body) => {
    const response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-csrf-token": csrf, accept: "application/json" },
      body: JSON.stringify(body ?? {}),
    });
    if (response.ok) return response.status === 204 ? {} : response.json();
    const problem = await response.json().catch(() => ({}));
    throw new Error(problem.detail ?? "The node did not take it. Load the page again.");
  };
  const why = (error) =>
    error.name === "NotAllowedError" ? "It was stopped, or took too long. Try again." : `It did not work: ${error.message}`;

  const signIn = async () => {
    const options = await post("/auth/passkey/begin");
    options.challenge = bytes(options.challenge);
    const { rawId, response } = await navigator.credentials.get({ publicKey: options });
    const { next } = await post("/auth/passkey/finish", {
      id: text(rawId),
      response: {
        clientDataJSON: text(response.clientDataJSON),
        authenticatorData: text(response.authenticatorData),
        signature: text(response.signature),
        userHandle: text(response.userHandle ?? new ArrayBuffer(0)),
      },
      next: place.dataset.next ?? "",
    });
    // The node gives only addresses of its own.
    location.assign(new URL(next, location.origin).pathname + new URL(next, location.origin).search);
  };

  const register = async () => {
    const name = place.querySelector('input[name="name"]').value.trim();
    if (!name) throw new Error("give it a name first");
    const options = await post("/auth/passkey/register/begin");
    options.challenge = bytes(options.challenge);
    options.user.id = bytes(options.user.id);
    for (const known of options.excludeCredentials) known.id = bytes(known.id);
    const { response } = await navigator.credentials.create({ publicKey: options });
    await post("/auth/passkey/register/finish", {
      name,
      response: { clientDataJSON: text(response.clientDataJSON), attestationObject: text(response.attestationObject) },
    });
    location.assign("/account?done=passkey-added");
  };

  const act = place.dataset.passkey === "register" ? register : signIn;
  const button = place.querySelector("button");
  button.hidden = false;
  say("");
  place.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    say("Your browser asks for the passkey …");
    try {
      await act();
    } catch (error) {
      say(why(error));
      button.disabled = false;
    }
  });
})();
