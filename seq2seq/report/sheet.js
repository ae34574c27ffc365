// A page of sections has nothing that moves but the theme and what is too wide.

document.addEventListener("DOMContentLoaded", () => {
  startTheme();
  startScrolling();
});
