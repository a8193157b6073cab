// How the access point treats clients beside where it leads. Plain data.
#pragma once

namespace pgkeel {

enum class RouteMode {
  kNormal,    // a route that leads somewhere lets clients through; else they are held or refused, as no_route says
  kDraining,  // its sessions go on to the end of their transactions and are held there; nobody new is let through
  kMoving,    // it leads nowhere for a planned moment: clients are held, whatever no_route says
  kStopped,   // it leads nowhere because an operator stopped the cluster: clients are told so at once
  kTornDown,  // it leads nowhere any more: likewise
};

}  // namespace pgkeel
