//! The netlink requests of the NIC's keeper: links, addresses, default routes. Each is one question or one
//! change, with the kernel's answer. Sources: rtnetlink(7), if_addr.h (IFA_PROTO), rtnetlink.h (RTPROT).
//! Danger: a change without [`MARK`] could not be told from somebody else's after a restart.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_lite::{Stream, StreamExt};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::{AddressMessageBuilder, Error, Handle, LinkUnspec, RouteMessageBuilder};

use crate::net::announce::Mac;
use crate::net::{Alias, Present, Role, Step, Wanted};

/// Who made an address (IFA_PROTO, since Linux 5.18) or a route (RTPROT): the letter S.
const MARK: u8 = b'S';

/// The interface that carries the aliases.
#[derive(Clone, Debug)]
pub struct Link {
    pub name: String,
    pub index: u32,
    /// `None` where there is nobody to announce to: no Ethernet.
    pub mac: Option<Mac>,
    pub carrier: bool,
}

/// Finds `interface` and sets it, and the loopback, up. The error is a reason for the operator.
pub async fn bring_up(handle: &Handle, interface: &str) -> Result<Link, String> {
    let links = all(handle.link().get().execute()).await.map_err(|e| format!("{interface}: {e}"))?;
    let is_down = |l: &LinkMessage| !l.header.flags.contains(LinkFlags::Up);
    for loopback in links.iter().filter(|l| l.header.flags.contains(LinkFlags::Loopback) && is_down(l)) {
        if let Err(e) = set_up(handle, loopback).await {
            log::debug!("loopback: {e}");
        }
    }
    let found = links.iter().find(|l| name_of(l) == Some(interface));
    let link = found.ok_or_else(|| format!("{interface} is not on this machine"))?;
    if is_down(link) {
        set_up(handle, link).await.map_err(|e| format!("{interface} is down: {e}"))?;
    }
    Ok(Link {
        name: interface.to_owned(),
        index: link.header.index,
        mac: mac_of(link),
        carrier: !is_down(link) && link.header.flags.contains(LinkFlags::LowerUp),
    })
}

async fn set_up(handle: &Handle, link: &LinkMessage) -> io::Result<()> {
    let up = LinkUnspec::new_with_index(link.header.index).up().build();
    handle.link().set(up).execute().await.map_err(to_io)
}

fn name_of(link: &LinkMessage) -> Option<&str> {
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn mac_of(link: &LinkMessage) -> Option<Mac> {
    if link.header.link_layer_type != LinkLayerType::Ether || link.header.flags.contains(LinkFlags::Noarp) {
        return None;
    }
    link.attributes.iter().find_map(|a| match a {
        LinkAttribute::Address(mac) => Mac::try_from(mac.as_slice()).ok(),
        _ => None,
    })
}

/// Every address of the machine, with the number of its interface.
pub async fn addresses(handle: &Handle) -> io::Result<Vec<(u32, Present)>> {
    let messages = all(handle.address().get().execute()).await?;
    Ok(messages.iter().filter_map(|m| Some((m.header.index, present(m)?))).collect())
}

fn present(message: &AddressMessage) -> Option<Present> {
    let mut local = None;
    let mut address = None;
    let mut ours = false;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Protocol(by) => ours = u8::from(*by) == MARK,
            _ => {}
        }
    }
    Some(Present { ip: local.or(address)?, len: message.header.prefix_len, ours })
}

/// The gateways of the default routes through `link`, and whether a route carries our mark.
pub async fn gateways(handle: &Handle, link: &Link) -> io::Result<Vec<(IpAddr, bool)>> {
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    let mut found = Vec::new();
    for question in [v4, v6] {
        let routes = all(handle.route().get(question).execute()).await?;
        found.extend(routes.iter().filter_map(|route| gateway_of(route, link)));
    }
    Ok(found)
}

fn gateway_of(route: &RouteMessage, link: &Link) -> Option<(IpAddr, bool)> {
    let through = route.attributes.contains(&RouteAttribute::Oif(link.index));
    if route.header.destination_prefix_length != 0 || !through {
        return None;
    }
    let gateway = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })?;
    Some((gateway, u8::from(route.header.protocol) == MARK))
}

/// Makes one change.
pub async fn take(handle: &Handle, link: &Link, step: Step, wanted: &Wanted) -> io::Result<()> {
    match step {
        Step::Add(alias) => add(handle, link, alias).await,
        Step::Remove(present) => remove(handle, link.index, present.ip, present.len).await,
        Step::AddGateway(ip) => {
            let route = default_route(link, ip, wanted.own_address_like(ip));
            handle.route().add(route).execute().await.map_err(to_io)
        }
        Step::RemoveGateway(ip) => {
            handle.route().del(default_route(link, ip, None)).execute().await.map_err(to_io)
        }
    }
}

async fn add(handle: &Handle, link: &Link, alias: Alias) -> io::Result<()> {
    let mut request = handle.address().add(link.index, alias.ip, alias.len);
    let message = request.message_mut();
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(MARK)));
    if alias.ip.is_ipv6() {
        // Without the second of waiting for a double; the announcement follows at once.
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        if alias.role == Role::Domain {
            // Deprecated from the start: never chosen for traffic that is not bound to it.
            let mut lifetime = CacheInfo::default();
            lifetime.ifa_valid = u32::MAX;
            message.attributes.push(AddressAttribute::CacheInfo(lifetime));
        }
    }
    request.execute().await.map_err(to_io)
}

/// Takes an address from interface number `index`.
pub async fn remove(handle: &Handle, index: u32, ip: IpAddr, len: u8) -> io::Result<()> {
    let message = match ip {
        IpAddr::V4(ip) => AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(ip, len).build(),
        IpAddr::V6(ip) => AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(ip, len).build(),
    };
    handle.address().del(message).execute().await.map_err(to_io)
}

/// The route to everywhere by `gateway`, leaving from the box's own address where it has one.
fn default_route(link: &Link, gateway: IpAddr, own: Option<IpAddr>) -> RouteMessage {
    let protocol = RouteProtocol::from(MARK);
    let mut route = match gateway {
        IpAddr::V4(ip) => RouteMessageBuilder::<Ipv4Addr>::new()
            .output_interface(link.index)
            .gateway(ip)
            .protocol(protocol)
            .build(),
        IpAddr::V6(ip) => RouteMessageBuilder::<Ipv6Addr>::new()
            .output_interface(link.index)
            .gateway(ip)
            .protocol(protocol)
            .build(),
    };
    route.attributes.extend(own.map(|ip| RouteAttribute::PrefSource(ip.into())));
    route
}

async fn all<T>(mut answers: impl Stream<Item = Result<T, Error>> + Unpin) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    while let Some(answer) = answers.try_next().await.map_err(to_io)? {
        found.push(answer);
    }
    Ok(found)
}

/// The kernel's own error where there is one.
fn to_io(error: Error) -> io::Error {
    match error {
        Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}
