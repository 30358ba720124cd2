//! The netlink requests of the NIC's keeper: links, addresses, routes, rules. Each is one question or one
//! change, with the kernel's answer. Sources: rtnetlink(7), if_addr.h (IFA_PROTO), rtnetlink.h (RTPROT).
//! Danger: a change without [`MARK`] could not be told from somebody else's after a restart.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_lite::{Stream, StreamExt};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::{AddressMessageBuilder, Error, Handle, IpVersion, LinkUnspec, LinkVlan, RouteMessageBuilder};

use crate::net::announce::Mac;
use crate::net::{Alias, Check, Present, PresentRoad, Road, Role, Step, Wanted};

/// Who made an address (IFA_PROTO, since Linux 5.18) or a route (RTPROT): the letter S.
const MARK: u8 = b'S';

/// The alias of a VLAN interface that is ours (IFLA_IFALIAS).
const LINK_MARK: &str = "stagepost";

/// Where the rules of a road stand among all others: before those for the main table, at 32766. The first sends
/// what is for a known network there, the second everything else to the road's own table.
const RULE_PRIORITIES: [u32; 2] = [0x5350, 0x5351];

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
    let mut links = links(handle).await.map_err(|e| format!("{interface}: {e}"))?;
    remove_vlans(handle, &links, interface).await;
    if add_vlan(handle, &links, interface).await? {
        links = self::links(handle).await.map_err(|e| format!("{interface}: {e}"))?;
    }
    let is_down = |l: &LinkMessage| !l.header.flags.contains(LinkFlags::Up);
    for loopback in links.iter().filter(|l| l.header.flags.contains(LinkFlags::Loopback) && is_down(l)) {
        if let Err(e) = set_up(handle, loopback).await {
            log::debug!("loopback: {e}");
        }
    }
    let found = links.into_iter().find(|l| name_of(l) == Some(interface));
    let mut link = found.ok_or_else(|| format!("{interface} is not on this machine"))?;
    if is_down(&link) {
        let told = |e| format!("{interface} is down: {e}");
        set_up(handle, &link).await.map_err(told)?;
        // Not every NIC takes its time to find a carrier.
        let again = handle.link().get().match_index(link.header.index).execute();
        link = all(again).await.map_err(told)?.pop().unwrap_or(link);
    }
    let link = &link;
    Ok(Link {
        name: interface.to_owned(),
        index: link.header.index,
        mac: mac_of(link),
        carrier: !is_down(link) && link.header.flags.contains(LinkFlags::LowerUp),
    })
}

async fn links(handle: &Handle) -> io::Result<Vec<LinkMessage>> {
    all(handle.link().get().execute()).await
}

/// Makes `eth0.20` on `eth0` where it is missing; whether it did.
async fn add_vlan(handle: &Handle, links: &[LinkMessage], interface: &str) -> Result<bool, String> {
    let Some((parent, id)) = vlan_of(interface) else { return Ok(false) };
    let named = |name: &str| links.iter().find(|l| name_of(l) == Some(name));
    let (None, Some(parent)) = (named(interface), named(parent)) else { return Ok(false) };
    let made = async {
        if !parent.header.flags.contains(LinkFlags::Up) {
            set_up(handle, parent).await?;
        }
        let vlan = LinkVlan::new(interface, parent.header.index, id).up().build();
        handle.link().add(vlan).execute().await.map_err(to_io)?;
        let mark = LinkUnspec::new_with_name(interface)
            .append_extra_attribute(LinkAttribute::IfAlias(LINK_MARK.to_owned()))
            .build();
        handle.link().set(mark).execute().await.map_err(to_io)
    };
    made.await.map_err(|e: io::Error| format!("{interface} cannot be made: {e}"))?;
    log::info!("{interface}: VLAN {id} made");
    Ok(true)
}

/// The NIC and the number of a VLAN's name.
fn vlan_of(interface: &str) -> Option<(&str, u16)> {
    let (parent, id) = interface.rsplit_once('.')?;
    let id = id.parse().ok().filter(|id| (1..=4094).contains(id))?;
    (!parent.is_empty()).then_some((parent, id))
}

/// Takes away the VLANs that we made and that are no longer wanted.
async fn remove_vlans(handle: &Handle, links: &[LinkMessage], interface: &str) {
    let is_mark = |a: &LinkAttribute| matches!(a, LinkAttribute::IfAlias(alias) if alias == LINK_MARK);
    let is_ours = |l: &&LinkMessage| l.attributes.iter().any(is_mark);
    for link in links.iter().filter(is_ours).filter(|l| name_of(l) != Some(interface)) {
        let gone = handle.link().del(link.header.index).execute().await.map_err(to_io);
        log::info!("{}: VLAN removed: {gone:?}", name_of(link).unwrap_or("?"));
    }
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
    let mut check = Check::Passed;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Protocol(by) => ours = u8::from(*by) == MARK,
            AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Dadfailed) => {
                check = Check::Failed
            }
            AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Tentative) => {
                check = Check::Running
            }
            _ => {}
        }
    }
    Some(Present { ip: local.or(address)?, len: message.header.prefix_len, ours, check })
}

/// Every default route through `link`.
pub async fn default_routes(handle: &Handle, link: &Link) -> io::Result<Vec<DefaultRoute>> {
    let v4 = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new().build();
    let mut found = Vec::new();
    for question in [v4, v6] {
        let routes = all(handle.route().get(question).execute()).await?;
        found.extend(routes.iter().filter_map(|route| default_of(route, link)));
    }
    Ok(found)
}

/// A route to everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    pub gateway: IpAddr,
    pub table: u32,
    /// It carries our mark.
    pub ours: bool,
}

impl DefaultRoute {
    /// Whether traffic without a road of its own goes there.
    pub fn is_main(&self) -> bool {
        self.table == MAIN_TABLE
    }
}

const MAIN_TABLE: u32 = RouteHeader::RT_TABLE_MAIN as u32;

fn default_of(route: &RouteMessage, link: &Link) -> Option<DefaultRoute> {
    let is_link = |a: &RouteAttribute| matches!(a, RouteAttribute::Oif(index) if *index == link.index);
    let through = route.attributes.iter().any(is_link);
    if route.header.destination_prefix_length != 0 || !through {
        return None;
    }
    let gateway = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })?;
    let table = route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    let table = table.unwrap_or(route.header.table.into());
    Some(DefaultRoute { gateway, table, ours: u8::from(route.header.protocol) == MARK })
}

/// The roads of ours, as far as they are there; `routes` has their default routes.
pub async fn roads(handle: &Handle, routes: &[DefaultRoute]) -> io::Result<Vec<PresentRoad>> {
    let mut rules = own_rules(handle, IpVersion::V4).await?;
    rules.extend(own_rules(handle, IpVersion::V6).await?);
    let mut found: Vec<PresentRoad> = Vec::new();
    for rule in &rules {
        let Some(from) = source_of(rule) else { continue };
        let ways = rules.iter().filter(|rule| source_of(rule) == Some(from));
        let tables: Vec<u32> = ways.map(table_of).collect();
        let own = tables.iter().copied().find(|table| *table != MAIN_TABLE);
        let route = routes.iter().find(|route| route.ours && Some(route.table) == own);
        let gateway = route.filter(|_| tables.contains(&MAIN_TABLE)).map(|route| route.gateway);
        if !found.iter().any(|road| road.from == from) {
            found.push(PresentRoad { from, table: own.unwrap_or(MAIN_TABLE), gateway });
        }
    }
    Ok(found)
}

async fn own_rules(handle: &Handle, family: IpVersion) -> io::Result<Vec<RuleMessage>> {
    let mut rules = all(handle.rule().get(family).execute()).await?;
    let is_mark = |a: &RuleAttribute| matches!(a, RuleAttribute::Protocol(by) if u8::from(*by) == MARK);
    rules.retain(|rule| rule.attributes.iter().any(is_mark));
    Ok(rules)
}

fn source_of(rule: &RuleMessage) -> Option<IpAddr> {
    rule.attributes.iter().find_map(|a| match a {
        RuleAttribute::Source(ip) => Some(*ip),
        _ => None,
    })
}

fn table_of(rule: &RuleMessage) -> u32 {
    let long = rule.attributes.iter().find_map(|a| match a {
        RuleAttribute::Table(table) => Some(*table),
        _ => None,
    });
    long.unwrap_or(rule.header.table.into())
}

async fn add_road(handle: &Handle, link: &Link, road: Road, table: u32) -> io::Result<()> {
    let mut route = default_route(link, road.gateway, Some(road.from));
    route.attributes.push(RouteAttribute::Table(table));
    handle.route().add(route).execute().await.map_err(to_io)?;
    add_rule(handle, road.from, RULE_PRIORITIES[0], MAIN_TABLE).await?;
    add_rule(handle, road.from, RULE_PRIORITIES[1], table).await
}

async fn add_rule(handle: &Handle, from: IpAddr, priority: u32, table: u32) -> io::Result<()> {
    let mut request = handle.rule().add().table_id(table).priority(priority).action(RuleAction::ToTable);
    let message = request.message_mut();
    message.header.family = if from.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.src_len = if from.is_ipv4() { 32 } else { 128 };
    message.attributes.push(RuleAttribute::Source(from));
    message.attributes.push(RuleAttribute::Protocol(RouteProtocol::from(MARK)));
    if table == MAIN_TABLE {
        // Its default route does not count, its networks do.
        message.attributes.push(RuleAttribute::SuppressPrefixLen(0));
    }
    match request.execute().await.map_err(to_io) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Takes a road away, whatever there is of it.
async fn remove_road(handle: &Handle, link: &Link, road: PresentRoad) -> io::Result<()> {
    let family = if road.from.is_ipv4() { IpVersion::V4 } else { IpVersion::V6 };
    for rule in own_rules(handle, family).await?.into_iter().filter(|r| source_of(r) == Some(road.from)) {
        handle.rule().del(rule).execute().await.map_err(to_io)?;
    }
    let Some(gateway) = road.gateway.filter(|_| road.table != MAIN_TABLE) else { return Ok(()) };
    let mut route = default_route(link, gateway, None);
    route.attributes.push(RouteAttribute::Table(road.table));
    handle.route().del(route).execute().await.map_err(to_io)
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
        Step::AddRoad(road, table) => add_road(handle, link, road, table).await,
        Step::RemoveRoad(road) => remove_road(handle, link, road).await,
        Step::RemoveGateway(ip) => {
            handle.route().del(default_route(link, ip, None)).execute().await.map_err(to_io)
        }
    }
}

async fn add(handle: &Handle, link: &Link, alias: Alias) -> io::Result<()> {
    let mut request = handle.address().add(link.index, alias.ip, alias.len);
    let message = request.message_mut();
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(MARK)));
    if alias.ip.is_ipv6() && alias.role == Role::Domain {
        // Deprecated from the start: never chosen for traffic that is not bound to it.
        let mut lifetime = CacheInfo::default();
        lifetime.ifa_valid = u32::MAX;
        message.attributes.push(AddressAttribute::CacheInfo(lifetime));
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
